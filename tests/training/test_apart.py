"""Students on several nodes equal one process to the bit, over torch.distributed and over a folder, whatever happens to a node."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from together import Together

from conftest import make_project, plan
from okd.data.datasets import fetch, read_arrays
from okd.data.feed import Split as Images
from okd.plan.run import Run
from okd.plan.store import Places, read_json
from okd.training.apart import shares
from okd.training.company import company
from okd.training.place import Place, Split
from okd.training.stop import Stop
from okd.training.train import train

CPU = torch.device("cpu")
PAPER = """\
title: Apart
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 5, batch_size: 32, lr: {multistep: [0.05, 3]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
methods:
  md: {t_in: 1, t_d: 1}
  ec-dnn: {t_in: 1, t_d: 1}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    cell: {dataset: digits, statistic: student}
    rows:
      two: {networks: [resnet8, alexnet-tiny]}
      three: {networks: [alexnet-tiny, resnet8, wrn-tiny]}
      five: {networks: [resnet8, alexnet-tiny, vgg-tiny, resnet8, mobilenet-tiny]}
    columns:
      MD: {method: md}
      EC-DNN: {method: ec-dnn}
  - id: tiny-t2
    title: Not for nodes
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows: {ResNet-8: {}}
    columns:
      DML: {method: dml}
"""
IMAGES, STEPS, ROUNDS = 70, 3, 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder, monkeypatch, paper=PAPER)
    fetch("digits", folder)

    def few_arrays(name: str, root: Path):
        manifest, splits = read_arrays(name, root)
        return manifest, {part: Images(split.images[:IMAGES], split.labels[:IMAGES]) for part, split in splits.items()}

    monkeypatch.setattr("okd.data.feed.read_arrays", few_arrays)
    torch.set_num_threads(1)
    return folder


def run_of(project: Path, method: str, students: int) -> Run:
    return next(run for run in plan(project).values() if run.method.name == method and len(run.networks) == students)


Where = Callable[[int, int], Place]


def over(way: str, folder: Path) -> Where:
    if way == "folder":
        return lambda rank, count: Place.named(f"{rank}/{count}", folder)
    return lambda rank, count: replace(Place.here(), split=Split.STUDENTS)


def finish(run: Run, project: Path, place: Place | None = None, stop: Stop | None = None) -> str:
    stop = stop or Stop()
    together: Any = {"processes": company(place, run, stop)} if place else {}
    return train(run, project, stop=stop, may_write=lambda: None, device=CPU, **together)


def published(run: Run, project: Path) -> dict[str, Any]:
    """Every byte of weights and predictions, and the history's counts; losses are sums over nodes, and kept apart."""
    folder = Places(project, run).result
    with np.load(folder / "predictions.npz") as arrays:
        predictions = {name: arrays[name].tobytes() for name in arrays.files}
    header, *lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    losses = np.array([[float(row.pop(name)) for name in header if name.startswith("loss_")] for row in rows])
    for row in rows:
        del row["seconds"]
    record = read_json(folder / "result.json") or {}
    counts = {name: record[name] for name in ("status", "epochs", "test_correct", "best_epoch", "data")}
    return {
        "weights": (folder / "weights.safetensors").read_bytes(),
        "predictions": predictions,
        "history": rows,
        "counts": counts,
        "losses": losses,
        "record": record,
    }


def alone(run: Run, project: Path) -> dict[str, Any]:
    assert finish(run, project) == "done"
    whole = published(run, project)
    restart(run, project)
    return whole


def restart(run: Run, project: Path) -> None:
    for folder in (Places(project, run).folder, Places(project, run).scratch):
        shutil.rmtree(folder, ignore_errors=True)


def assert_same(found: dict[str, Any], whole: dict[str, Any]) -> None:
    for name in ("weights", "predictions", "history", "counts"):
        assert found[name] == whole[name], name
    np.testing.assert_allclose(found["losses"], whole["losses"], rtol=1e-6)


@pytest.mark.parametrize("way", ["torch.distributed", "folder"])
@pytest.mark.parametrize(
    ("method", "students", "nodes"),
    [
        ("md", 2, 2),
        pytest.param("md", 3, 3, marks=pytest.mark.slow),
        pytest.param("md", 5, 5, marks=pytest.mark.slow),
        pytest.param("md", 5, 2, marks=pytest.mark.slow),
        pytest.param("ec-dnn", 3, 2, marks=pytest.mark.slow),
    ],
)
def test_nodes_equal_one_process_to_the_bit(project: Path, tmp_path: Path, way: str, method: str, students: int, nodes: int) -> None:
    run, where = run_of(project, method, students), over(way, tmp_path / "shared")
    whole = alone(run, project)
    Together(tmp_path / "said").start(nodes, lambda rank: finish(run, project, where(rank, nodes))).wait().results()
    found = published(run, project)
    assert_same(found, whole)
    assert "exchange" not in whole["record"]
    exchange = found["record"]["exchange"]
    assert (exchange["rounds"], exchange["nodes"], exchange["by"]) == (ROUNDS, nodes, "files" if way == "folder" else way)
    print(run.id, exchange)
    array = IMAGES * 10 * 4
    travelled = students if way == "folder" else students - len(shares(run, nodes)[0])
    answered = nodes if way == "folder" else nodes - 1
    assert 0 <= exchange["sent"] - ROUNDS * travelled * array < ROUNDS * travelled * 1000, "an array each, and a manifest"
    assert 0 <= exchange["received"] - ROUNDS * answered * array < ROUNDS * answered * 1000
