"""Students on several nodes equal one process to the bit, over torch.distributed and over a folder, whatever happens to a node."""

import os
import random
import shutil
import signal
import time
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
from okd.training.distributed.company import company
from okd.training.distributed.place import Place, Split, shares
from okd.training.session import Session
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
    assert (exchange["senders"], exchange["receivers"]) == (travelled, answered)
    assert 0 <= exchange["sent"] - ROUNDS * travelled * array < ROUNDS * travelled * 1000, "an array each, and a manifest"
    assert 0 <= exchange["received"] - ROUNDS * answered * array < ROUNDS * answered * 1000


def slowly(marks: Path, monkeypatch: pytest.MonkeyPatch, *, step_s: float) -> None:
    """Steps that take their time and leave a mark."""
    plain = Session.take_step
    marks.mkdir(exist_ok=True)

    def take_step(self: Session, batch: Any) -> None:
        time.sleep(step_s)
        plain(self, batch)
        (marks / f"{os.getpid()}-{self.position}").touch()

    monkeypatch.setattr(Session, "take_step", take_step)


def reached(marks: Path, pid: int, step: int) -> None:
    while not (marks / f"{pid}-{step}").exists():
        time.sleep(0.005)


@pytest.mark.parametrize("way", ["torch.distributed", "folder"])
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_nodes_start_again_and_nothing_differs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kills: int
) -> None:
    """One of two at random moments: the other ends with 75 within five seconds by torch.distributed; in a folder it need not end at all."""
    run, where, draw = run_of(project, "md", 2), over(way, tmp_path / "shared"), random.Random(kills)
    whole = alone(run, project)
    slowly(tmp_path / "marks", monkeypatch, step_s=0.1)
    monkeypatch.setattr("okd.training.train.SAVE_EVERY_S", 0.1)
    slowest = 0.0
    for kill in range(kills):
        if Places(project, run).finished():  # `okd train` would leave it alone
            break
        together = Together(tmp_path / f"said-{kill}").start(2, lambda rank: finish(run, project, where(rank, 2)))
        victim = draw.randrange(2)
        patience = time.monotonic() + 10  # where its part was finished before, it takes no step
        while not list((tmp_path / "marks").glob(f"{together.pids[victim]}-*")) and time.monotonic() < patience:
            time.sleep(0.005)  # it should die in training
        time.sleep(draw.uniform(0.0, 0.3))
        at = together.kill(victim)
        together.wait(victim)
        other = 1 - victim
        if way == "folder":
            together.kill(other, signal.SIGTERM)  # this test's way to an end; the next test lets it wait
        together.wait(other)
        if together.codes[victim] != -9 or together.codes[other] == 0:
            continue  # one of them had finished before
        assert together.codes[other] == 75, together.words
        slowest = max(slowest, together.ended[other] - at)
        assert slowest < 5
    if not Places(project, run).finished():
        Together(tmp_path / "last").start(2, lambda rank: finish(run, project, where(rank, 2))).wait().results()
    assert_same(published(run, project), whole)
    print(f"{way}, {kills} kills: the slowest survivor ended after {slowest:.2f} s; {published(run, project)['record']['resumes']} resumes")


@pytest.mark.parametrize(("way", "victim"), [("torch.distributed", 1), ("folder", 1)])
def test_a_node_that_says_nothing_is_named(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, victim: int) -> None:
    """Stopped, it holds its connections and beats no more: at the limit (3 s here) the other saves and says who is missing."""
    run, where = run_of(project, "md", 2), over(way, tmp_path / "shared")
    slowly(tmp_path / "marks", monkeypatch, step_s=0.05)
    together = Together(tmp_path / "said").start(2, lambda rank: finish(run, project, where(rank, 2)))
    reached(tmp_path / "marks", together.pids[victim], 2)
    at = together.kill(victim, signal.SIGSTOP)
    together.wait(1 - victim)
    took = together.ended[1 - victim] - at
    together.kill(victim)
    together.wait(victim)
    assert together.codes == {1 - victim: 75, victim: -9}
    assert f"node {victim} of 2 gave no sign of life within 3 s" in together.words[1 - victim]
    print(f"{way}: ended {took:.2f} s after the other was stopped")
    assert 2.5 < took < 8


def test_the_node_that_keeps_the_store_is_missed_too(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.distributed's port is closed: the other one ends within five seconds."""
    run, where = run_of(project, "md", 2), over("torch.distributed", tmp_path)
    slowly(tmp_path / "marks", monkeypatch, step_s=0.05)
    together = Together(tmp_path / "said").start(2, lambda rank: finish(run, project, where(rank, 2)))
    reached(tmp_path / "marks", together.pids[1], 2)
    at = together.kill(0)
    together.wait(0, 1)
    assert together.codes == {0: -9, 1: 75}, together.words
    assert together.ended[1] - at < 5


@pytest.mark.parametrize("way", ["torch.distributed", "folder"])
def test_a_slow_node_is_waited_for(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Slower than the limit for silence, but its heart beats."""
    run, where = run_of(project, "md", 2), over(way, tmp_path / "shared")
    whole, plain = alone(run, project), Session.take_step

    def take_step(self: Session, batch: Any) -> None:
        if self.processes.place.rank == 1 and self.position == 2:
            time.sleep(2.5)
        plain(self, batch)

    monkeypatch.setattr(Session, "take_step", take_step)
    monkeypatch.setattr("together.WAIT_S", "1.5")
    Together(tmp_path / "said").start(2, lambda rank: finish(run, project, where(rank, 2))).wait().results()
    assert_same(published(run, project), whole)


def test_nodes_of_a_folder_need_not_run_at_the_same_time(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that waits in vain ends with 75; when the other has come and gone, it goes on with what that one left."""
    run, where = run_of(project, "ec-dnn", 2), over("folder", tmp_path / "shared")
    whole = alone(run, project)
    monkeypatch.setattr("together.WAIT_S", "0.5")
    codes: list[int] = []
    for turn in range(6):
        one = Together(tmp_path / f"turn-{turn}").start(2, lambda rank: finish(run, project, where(rank, 2)), only=turn % 2).wait()
        codes += one.codes.values()
    assert codes[0] == 75
    assert codes[-2:] == [0, 0], codes
    assert_same(published(run, project), whole)


def test_a_diverged_student_is_everybodys(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair is diverged, and nobody trains on labels that are not numbers."""
    run, plain = run_of(project, "md", 2), Session.take_step

    def poisoned(self: Session, batch: Any) -> None:
        if self.processes.place.rank == 1 and self.position == 1:
            batch = batch._replace(images=batch.images * torch.inf)
        plain(self, batch)

    for way in ("torch.distributed", "folder"):
        where = over(way, tmp_path / "shared")
        with monkeypatch.context() as patch:
            patch.setattr(Session, "take_step", poisoned)
            Together(tmp_path / way).start(2, lambda rank, where=where: finish(run, project, where(rank, 2))).wait().results()
        record = published(run, project)["record"]
        assert (record["status"], record["diverged"]) == ("diverged", {"step": 1, "term": "hard", "epoch": 0})
        assert set(record["test_correct"].values()) == {None}
        restart(run, project)


def test_what_cannot_live_apart_says_so(project: Path, tmp_path: Path) -> None:
    run, where = run_of(project, "dml", 2), over("folder", tmp_path)
    with pytest.raises(ValueError, match="dml needs all students in every step; only MD's and EC-DNN's can live apart"):
        finish(run, project, where(0, 2))
    with pytest.raises(ValueError, match="2 students cannot live on 3 nodes"):
        finish(run_of(project, "md", 2), project, where(0, 3))
    for words in ("2/2", "one", "0", "-1/2"):
        with pytest.raises(ValueError, match="write I/N"):
            Place.named(words, tmp_path)
