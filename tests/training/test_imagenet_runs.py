"""ImageNet end to end on a few of its images: fetch, every network of the papers on two processes, evaluation, tables, recipes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from together import Together

from conftest import ROOT, make_project, plan
from okd.data.datasets import fetch
from okd.evaluation.tables import Evaluation
from okd.networks import build
from okd.plan.catalog import catalog
from okd.plan.planner import make_plan
from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import Places, read_json
from okd.training.distributed.collective import join
from okd.training.distributed.place import Place
from okd.training.distributed.sharding import Sharded
from okd.training.stop import Stop
from okd.training.train import train

CPU = torch.device("cpu")
IMAGENET = catalog().datasets["imagenet"]
NETWORKS = [name for name, entry in catalog().networks.items() if entry.input == 224]
LARGE, SMALL = 3, 3  # classes with one full-size image, and with five images of 64 pixels
TRAIN, TEST = LARGE + 4 * SMALL, LARGE + SMALL
PAPER = """\
title: Few steps
source: {authors: Nobody, venue: nowhere}
recipe:
  epochs: 1
  batch_size: 8
  lr: {multistep: [0.01]}
  momentum: 0.9
  nesterov: true
  weight_decay: 1.0e-4
  normalisation: {imagenet: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on some images
    cell: {dataset: imagenet, statistic: student, method: baseline}
    rows:
ROWS    columns:
      Top-1: {top: 1}
      Top-5: {top: 5}
  - id: tiny-t2
    title: Groups
    cell: {dataset: imagenet, statistic: student}
    rows: {Groups: {}}
    columns:
      ONE: {network: resnet18, method: one, ramp_up: 1}
      MinLogit: {networks: [resnet18, mobilenetv2-x0.5], method: kdcl-minlogit}
      MD: {networks: [resnet18, squeezenet1.1], method: md, t_in: 1, t_d: 1, recipe: {epochs: 2}}
""".replace("ROWS", "".join(f"      {name}: {{network: {name}}}\n" for name in NETWORKS))


def few_images(reference: Path, work: Path) -> Path:
    """Some of the real files as <folder>/imagenet/{train,val}/<class>/."""
    raw, there = work / "raw", work / "there" / "imagenet"
    subprocess.run(
        [sys.executable, str(reference / "data" / "unpack.py"), str(raw), "imagenet-sample60", "tiny-imagenet10"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for folder in sorted((raw / "imagenet-sample60").iterdir())[:LARGE]:
        for split in ("train", "val"):
            shutil.copytree(folder, there / split / f"large-{folder.name}")
    small = raw / "tiny-imagenet10"
    for folder in sorted((small / "train").iterdir())[:SMALL]:
        for number, file in enumerate(sorted(folder.rglob("*.JPEG"))[:5]):
            place = there / ("val" if number == 4 else "train") / folder.name / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    return there.parent


@pytest.fixture
def project(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    entry = IMAGENET.model_copy(update={"classes": LARGE + SMALL, "train": TRAIN, "test": TEST})
    monkeypatch.setitem(catalog().datasets, "imagenet", entry)
    few_images(reference, tmp_path)
    (tmp_path / "here").mkdir()
    made = make_project(tmp_path / "here", monkeypatch, paper=PAPER)
    params = made / "params.yaml"
    params.write_text(params.read_text().replace("folder: null", "folder: ../there"))
    assert plan(made) == {}, "the cells wait for the images"
    assert fetch("imagenet", made, open_project(made).settings.data) == "data/imagenet: prepared"
    torch.set_num_threads(1)
    return made


def by_two(run: Run, project: Path, said: Path) -> dict[str, Any]:
    def body(rank: int) -> str:
        join(Stop())
        return train(run, project, stop=Stop(), may_write=lambda: None, device=CPU, processes=Sharded(Place.here()))

    assert Together(said).start(2, body).wait(limit_s=600).results() == ["done", "done"]
    return read_json(Places(project, run).result / "result.json") or {}


@pytest.mark.slow
def test_every_network_trains_on_two_processes_and_is_evaluated_as_usual(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are those of the published weights on torchvision's own view: shorter side 256, middle 224."""
    monkeypatch.setattr("together.WAIT_S", "120")
    runs = plan(project)
    assert {network.name for run in runs.values() for network in run.networks} == set(NETWORKS)
    for run in runs.values():
        record = by_two(run, project, tmp_path / "said" / run.id)
        assert record["device"].endswith(", 2 processes")
        assert record["test_images"] == TEST
        history = (Places(project, run).result / "history.csv").read_text().splitlines()
        assert dict(zip(history[0].split(","), history[1].split(","), strict=True))["train_images"] == str(TRAIN)
        assert_usual_view(run, project)
    tables = {table.id: table for table in Evaluation(project, make_plan(open_project(project)), reproduce=["tiny"]).tables()}
    cells = [cell for table in tables.values() for cell in table.cells]
    assert len(cells) == 2 * len(NETWORKS) + 3
    assert all(cell.ours is not None and 0 <= cell.ours.mean <= 100 for cell in cells)
    for name in NETWORKS:
        top1, top5 = (tables["tiny-t1"].cell(name, column).ours for column in ("Top-1", "Top-5"))
        assert top1 is not None and top5 is not None and top5.mean <= top1.mean


def assert_usual_view(run: Run, project: Path) -> None:
    from PIL import Image
    from safetensors.torch import load_file
    from torchvision.transforms import v2

    folder = Places(project, run).result
    weights, network = load_file(folder / "weights.safetensors"), build(run.networks[0].name, run.classes, seed=9)
    network.load_state_dict({name.removeprefix("student_0."): part for name, part in weights.items() if name.startswith("student_0.")})
    mean, std = run.recipe.normalisation["mean"], run.recipe.normalisation["std"]
    view = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    there = project.parent / "there" / "imagenet" / "val"
    files = sorted(file for file in there.rglob("*.JPEG"))
    with torch.no_grad():
        logits = network.eval()(torch.stack([view(Image.open(file).convert("RGB")) for file in files]))[0].numpy()
    stored = np.load(folder / "predictions.npz")["student_0"].astype(np.float32)
    np.testing.assert_allclose(stored, logits, rtol=2e-3, atol=2e-2)


@pytest.mark.slow
def test_okd_train_starts_its_processes_by_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line, and torchrun itself; on the digits, whose catalog entry a new process knows."""
    made = make_project(tmp_path, monkeypatch)
    fetch("digits", made)
    runs = [run for run in plan(made).values() if run.method.name in ("one", "baseline")]
    program = [sys.executable, "-m", "okd", "train"]
    environment = os.environ | {"OKD_PROCESSES": "2"}
    subprocess.run([*program, runs[0].id, "--log", "logs/train.log"], check=True, env=environment)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "okd", "train"]
    subprocess.run([*torchrun, runs[1].id], check=True)
    for run in runs[:2]:
        assert (read_json(Places(made, run).result / "result.json") or {})["device"].endswith(", 2 processes")
    assert "done" in (made / "logs" / "train.log").read_text()
    again = subprocess.run([*program, runs[0].id], check=True, env=environment, capture_output=True, text=True)
    assert "already done" in again.stderr


RECIPES = {  # the papers' ImageNet, as papers/*.md of the specification have it: epochs, batch, rate, warm-up
    "one": (90, 256, {"multistep": [0.1, 45, 68]}, 0),
    "okddip": (90, 256, {"multistep": [0.1, 30, 60]}, 0),
    "kdcl": (200, 2048, {"multistep": [0.8, 60, 120, 180]}, 5),
    "md": (90, 256, {"multistep": [0.1, 45, 68]}, 0),
}


def test_the_papers_recipes_for_imagenet(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ImageNet table can be planned once the images are there; BatchNorm sees the whole batch, and says so in no key."""
    for file in (ROOT / "papers").glob("*.yaml"):
        shutil.copy(file, project / "papers" / file.name)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("reproduce: [tiny]", "reproduce: [one-imagenet, okddip-t3, kdcl-t2, kdcl-t4, md-t2]"))
    monkeypatch.setitem(catalog().datasets, "imagenet", IMAGENET)  # as large as it is
    runs = [run for run in plan(project).values() if run.dataset.name == "imagenet"]
    for paper, (epochs, batch, rate, warm_up) in RECIPES.items():
        mine = [run for run in runs if run.id.startswith(f"{paper}-imagenet")]
        assert mine, paper
        usual = [run for run in mine if (run.recipe.epochs, run.recipe.batch_size) == (epochs, batch)]
        assert usual, paper
        for run in usual:
            assert (run.recipe.lr, run.recipe.warm_up, run.recipe.weight_decay) == (rate, warm_up, 1e-4)
            assert run.recipe.normalisation == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
            assert "sync_batchnorm" not in run.spec["recipe"]
            if run.method.name == "md":
                assert (run.method.options["t_in"], run.method.options["t_d"]) == (5, 10)
