"""A run from its spec to its five files, stopped and resumed to the bit, and diverged."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import plan
from okd.data.datasets import fetch
from okd.networks import build
from okd.plan.run import Run
from okd.plan.store import FILES, Places, read_json
from okd.training import checkpoint
from okd.training.session import Session
from okd.training.stop import Stop, Stopped
from okd.training.train import train

CPU = torch.device("cpu")


def run_named(project: Path, word: str) -> Run:
    return next(run for name, run in plan(project).items() if word in name)


def finish(run: Run, project: Path) -> str:
    return train(run, project, stop=Stop(), may_write=lambda: None, device=CPU)


@pytest.fixture
def ready(project: Path) -> Path:
    fetch("digits", project)
    return project


def test_a_run_leaves_five_files_and_its_key(ready: Path) -> None:
    run = run_named(ready, "okddip")
    assert finish(run, ready) == "done"
    places = Places(ready, run)
    assert sorted(file.name for file in places.result.iterdir()) == sorted(FILES)
    assert places.finished()
    result = read_json(places.result / "result.json")
    assert result is not None
    assert result["status"] == "done"
    assert set(result["test_correct"]) == {"student_0", "student_1", "leader"}
    assert sorted(places.results.iterdir()) == [places.folder], "nothing else is left in results/"
    arrays = np.load(places.result / "predictions.npz")
    hits = int((arrays["leader_top5"][:, 0] == arrays["labels"]).sum())
    assert hits == result["test_correct"]["leader"]


def test_a_published_student_is_an_ordinary_network(ready: Path) -> None:
    run = run_named(ready, "resnet8-one")
    finish(run, ready)
    weights = load_file(Places(ready, run).result / "weights.safetensors")
    network = build("resnet8", 10, seed=99)
    network.load_state_dict({name.removeprefix("student_1."): part for name, part in weights.items() if name.startswith("student_1.")})
    session = Session(run, ready, CPU)
    images = next(session.data.test()).images[0]
    logits = network.eval()(images)[0].detach().numpy()
    stored = np.load(Places(ready, run).result / "predictions.npz")["student_1"][: len(logits)]
    np.testing.assert_allclose(logits, stored.astype(np.float32), rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("word", ["resnet8-baseline", "resnet8-one", "okddip"])
@pytest.mark.parametrize("after", [1, 23, 30])
def test_stopped_and_resumed_equals_uninterrupted(ready: Path, word: str, after: int) -> None:
    run = run_named(ready, word)
    whole = state_after(Session(run, ready, CPU), steps=None)

    class StopsOnce:
        reason = "SIGTERM"

        def __init__(self) -> None:
            self.steps = 0

        @property
        def wanted(self) -> bool:
            self.steps += 1
            return self.steps == after + (after > 23)  # it is asked at the end of an epoch of 23 steps, too

    with pytest.raises(Stopped, match="saved"):
        train(run, ready, stop=StopsOnce(), may_write=lambda: None, device=CPU)  # type: ignore[arg-type]
    state = checkpoint.load(Places(ready, run).scratch, key=run.key)
    assert state is not None
    session = Session(run, ready, CPU)
    session.load_state_dict(state)
    assert session.position == after
    assert state_after(session, steps=None) == whole


def test_leaving_the_momentum_out_is_noticed(ready: Path) -> None:
    """The negative control: the comparison above can fail."""
    run = run_named(ready, "resnet8-baseline")
    first, second = Session(run, ready, CPU), Session(run, ready, CPU)
    steps(first, 5)
    state = first.state_dict()
    state["optimizer"]["momenta"] = [[None for _ in part] for part in state["optimizer"]["momenta"]]
    second.load_state_dict(state)
    assert state_after(second, steps=3) != state_after(first, steps=3)


def steps(session: Session, count: int) -> None:
    for batch, _ in zip(session.start_epoch(), range(count), strict=False):
        session.take_step(batch)


def state_after(session: Session, steps: int | None) -> str:
    """SHA-256 of weights, buffers, optimizer and randomness after so many steps, or at the end."""
    while session.epoch < session.run.recipe.epochs:
        for taken, batch in enumerate(session.start_epoch()):
            if taken == steps:
                return state_digest(session)
            session.take_step(batch)
        session.end_epoch({}, 0)
    return state_digest(session)


def state_digest(session: Session) -> str:
    state = session.state_dict()
    return checkpoint.digest({name: state[name] for name in ("group", "teacher", "optimizer", "random", "epoch", "step")})


def test_a_diverged_run_is_a_result(ready: Path) -> None:
    file = ready / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("lr: {multistep: [0.1, 1]}", "lr: {multistep: [10, 1]}").replace("5.0e-4", "1"))
    run = run_named(ready, "resnet8-one")
    session = Session(run, ready, CPU)
    assert finish(run, ready) in ("done", "diverged")
    poisoned = run_named(ready, "resnet8-baseline")
    session = Session(poisoned, ready, CPU)
    state = session.state_dict()
    next(iter(state["group"].values())).fill_(float("nan"))
    with pytest.raises(checkpoint.NotFinite):
        checkpoint.save(ready / "scratch" / "x", state, step=0, key=poisoned.key)


def test_divergence_names_step_and_term_and_writes_strict_json(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_named(ready, "resnet8-one")
    plain = Session.take_step

    def poison(self: Session, batch):
        if self.position == 7:
            batch = batch._replace(images=batch.images * float("inf"))
        plain(self, batch)

    monkeypatch.setattr(Session, "take_step", poison)
    assert finish(run, ready) == "diverged"
    places = Places(ready, run)
    assert places.finished()
    text = (places.result / "result.json").read_text()
    assert "NaN" not in text
    result = json.loads(text)
    assert result["diverged"] == {"step": 7, "term": "hard", "epoch": 0}
    assert set(result["test_correct"].values()) == {None}


def test_kd_leaves_its_teacher_as_it_was(ready: Path) -> None:
    teacher, student = run_named(ready, "bottleneck-tiny-baseline"), run_named(ready, "-kd-")
    with pytest.raises(ValueError, match="has not been trained"):
        Session(student, ready, CPU)
    finish(teacher, ready)
    session = Session(student, ready, CPU)
    before = checkpoint.digest(session.teacher.state_dict())
    steps(session, 3)
    assert checkpoint.digest(session.teacher.state_dict()) == before
    finish(student, ready)
    weights = load_file(Places(ready, student).result / "weights.safetensors")
    assert not [name for name in weights if name.startswith("teacher.")], "the teacher's weights are its own run's"
    assert "teacher" in (read_json(Places(ready, student).result / "result.json") or {})["test_correct"]


def test_a_run_whose_plan_changed_is_not_published(ready: Path) -> None:
    run = run_named(ready, "resnet8-baseline")
    file = ready / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    plan(ready)
    with pytest.raises(Stopped, match="the plan changed"):
        finish(run, ready)
    assert not Places(ready, run).folder.exists()


def test_a_signal_sets_a_flag_only() -> None:
    stop = Stop()
    signal.raise_signal(signal.SIGTERM)
    assert stop.wanted
    assert stop.reason == "SIGTERM"


def test_a_dead_parent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OKD_PARENT", "999999")
    assert Stop().wanted
