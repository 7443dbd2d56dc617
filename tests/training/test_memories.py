"""What a run keeps over its epochs (snapshots, stored soft labels, weights from held-out images) survives a stop and is published."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import make_project, plan
from okd.data.datasets import fetch, read_arrays
from okd.data.feed import Split
from okd.networks import build
from okd.plan.run import Run
from okd.plan.store import Places
from okd.training.predict import show
from okd.training.session import Session
from okd.training.stop import Stop, Stopped
from okd.training.train import train

CPU = torch.device("cpu")
PAPER = """\
title: What is remembered
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 3, batch_size: 32, lr: {multistep: [0.1, 2]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet-8: {}
    columns:
      Snapshot: {method: snapshot, recipe: {lr: {cycles: [0.1, 2]}}}
      MD: {method: md, t_in: 1, t_d: 2}
      General: {method: kdcl-general, held_out: 20}
"""
IMAGES, STEPS = 200, 7  # training images, steps an epoch (6 where 20 are held out)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first images of the digits are enough."""
    folder = make_project(tmp_path, monkeypatch, paper=PAPER)
    fetch("digits", folder)

    def few_arrays(name: str, root: Path):
        manifest, splits = read_arrays(name, root)
        return manifest, {part: Split(split.images[:IMAGES], split.labels[:IMAGES]) for part, split in splits.items()}

    monkeypatch.setattr("okd.data.feed.read_arrays", few_arrays)
    return folder


def run_of(project: Path, method: str) -> Run:
    return next(run for run in plan(project).values() if run.method.name == method)


class StopsAfter(Stop):
    def __init__(self, steps: int) -> None:
        self.reason, self.left = "SIGTERM", steps

    @property
    def wanted(self) -> bool:
        self.left -= 1
        return self.left == 0


def published(run: Run, project: Path) -> tuple[bytes, dict[str, np.ndarray], list[str]]:
    """Weights to the byte, predictions, and the history without its seconds."""
    folder = Places(project, run).result
    with np.load(folder / "predictions.npz") as arrays:
        predictions = {name: arrays[name] for name in arrays.files}
    header, *lines = (folder / "history.csv").read_text().splitlines()
    place = header.split(",").index("seconds")
    history = [",".join(value for index, value in enumerate(line.split(",")) if index != place) for line in lines]
    return (folder / "weights.safetensors").read_bytes(), predictions, history


@pytest.mark.parametrize("after", [3, STEPS, STEPS + 3, 2 * STEPS + 3])
@pytest.mark.parametrize("method", ["snapshot", "md", "kdcl-general"])
def test_stopped_and_resumed_leaves_the_same_files(project: Path, method: str, after: int) -> None:
    run = run_of(project, method)
    train(run, project, stop=Stop(), may_write=lambda: None, device=CPU)
    whole = published(run, project)
    for folder in (Places(project, run).folder, Places(project, run).scratch):
        shutil.rmtree(folder)
    with pytest.raises(Stopped):
        train(run, project, stop=StopsAfter(after), may_write=lambda: None, device=CPU)
    train(run, project, stop=Stop(), may_write=lambda: None, device=CPU)
    weights, predictions, history = published(run, project)
    assert json.loads((Places(project, run).result / "result.json").read_text())["resumes"] == 1
    assert weights == whole[0]
    assert history == whole[2]
    assert predictions.keys() == whole[1].keys()
    assert all(np.array_equal(predictions[name], whole[1][name]) for name in predictions)


def test_each_cycle_leaves_a_snapshot(project: Path) -> None:
    run = run_of(project, "snapshot")
    train(run, project, stop=Stop(), may_write=lambda: None, device=CPU)
    _, predictions, history = published(run, project)
    assert {"student_0", "snapshot_0", "snapshot_1"} <= predictions.keys()
    assert "snapshot_2" not in predictions
    assert len(history) == 3
    assert np.array_equal(predictions["snapshot_1"], predictions["student_0"]), "the last snapshot is the network as it is"
    assert not np.array_equal(predictions["snapshot_0"], predictions["student_0"])
    folder = Places(project, run).result
    weights, network = load_file(folder / "weights.safetensors"), build("resnet8", 10, seed=99)
    network.load_state_dict({name.removeprefix("snapshot_0."): part for name, part in weights.items() if name.startswith("snapshot_0.")})
    with torch.no_grad():
        logits = network.eval()(next(Session(run, project, CPU).data.test()).images[0])[0].numpy()
    np.testing.assert_allclose(logits, predictions["snapshot_0"][: len(logits)].astype(np.float32), rtol=1e-3, atol=2e-2)
    assert set(json.loads((folder / "result.json").read_text())["test_correct"]) == {"student_0", "snapshot_0", "snapshot_1"}


def test_stored_rows_are_the_students_answers_to_the_images_as_they_are(project: Path) -> None:
    """Whatever the order of the batches: row n is the mixture for image n."""
    session = Session(run_of(project, "md"), project, CPU)
    for batch in session.start_epoch():
        session.take_step(batch)
    show(session)
    rows = session.teacher.get_buffer("rows")
    assert len(rows) == session.data.num_samples
    session.group.eval()
    with torch.no_grad():
        logits, labels = [], []
        for batch in session.data.ordered():
            logits.append(session.group(batch.images).logits)
            labels.append(batch.labels)
    answers, truth = torch.cat(logits, dim=1), torch.cat(labels)
    correct = (answers.argmax(dim=2) == truth).double().sum(dim=1)
    mixture = torch.einsum("i,ink->nk", correct / correct.sum(), torch.softmax(answers.double() / 3, dim=2))
    torch.testing.assert_close(rows.double(), mixture, rtol=1e-5, atol=1e-7)

    session.end_epoch({}, 0)
    batch = next(iter(session.start_epoch()))
    assert not torch.equal(batch.index, batch.index.sort().values)
    lesson = session.teacher(batch, session.group(batch.images))
    assert lesson.soft_targets is not None
    assert torch.equal(lesson.soft_targets[0], rows[batch.index])


def test_held_out_images_are_not_trained_on(project: Path) -> None:
    session = Session(run_of(project, "kdcl-general"), project, CPU)
    held_out = torch.cat([batch.index for batch in session.data.held_out()])
    trained = torch.cat([batch.index for batch in session.start_epoch()])
    assert len(held_out) == 20
    assert not set(held_out.tolist()) & set(trained.tolist())
    assert len(set(trained.tolist())) == session.data.num_samples - 20
    before = session.teacher.get_buffer("weights").clone()
    for batch in session.start_epoch():
        assert batch.images.shape[0] == 2, "two students, two views"
        session.take_step(batch)
    show(session)
    assert not torch.equal(before, session.teacher.get_buffer("weights"))
