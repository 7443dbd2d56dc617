"""What `okd verify`, `okd status` and `okd doctor` say of what faults left behind."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child import Child, Nursery, after
from tiny import Trial

import okd.training.train
from okd.plan.store import read_json, write_json
from okd.training.entries import clear
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)


@pytest.fixture(scope="module")
def done(nursery: Nursery, trial: Callable[[str], Trial]) -> Trial:
    one = trial("resnet8-baseline").fresh()
    assert nursery.train(one, save_every_s=1e9).code == 0
    return one


@pytest.fixture
def copied(done: Trial, tmp_path: Path) -> Trial:
    """The finished run in a project of its own, which a test may spoil."""
    shutil.copytree(done.root, tmp_path / "copy")
    return Trial(tmp_path / "copy", done.run)


def killed_after(nursery: Nursery, one: Trial, steps: int) -> None:
    child = nursery.train(one, hooks=[after(_Sitting, "after_step", lambda: os.kill(os.getpid(), signal.SIGKILL), nth=steps)])
    assert child.code == -signal.SIGKILL


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))


def better_by_one(one: Trial) -> None:
    """Somebody improves the headline number."""
    file = one.places.result / "result.json"
    record = read_json(file)
    assert record is not None
    write_json(file, record | {"test_correct": {"student_0": record["test_correct"]["student_0"] + 1}})


def other_answers(one: Trial) -> None:
    """And another the answers, but not their hash."""
    with np.load(one.places.result / "predictions.npz") as arrays:
        changed: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    changed["labels"] = (changed["labels"] + 1) % 10
    np.savez(one.places.result / "predictions.npz", **changed)


RESULTS: dict[str, tuple[Callable[[Trial], Any], str]] = {
    "a flipped bit in the weights": (lambda one: flip(one.places.result / "weights.safetensors"), "weights.safetensors: its SHA-256"),
    "a flipped bit in the history": (lambda one: flip(one.places.result / "history.csv"), "history.csv: its SHA-256"),
    "another spec": (lambda one: flip(one.places.result / "spec.json"), "its spec says key None"),
    "a file is missing": (lambda one: (one.places.result / "predictions.npz").unlink(), "predictions.npz: is missing"),
    "result.json is missing": (lambda one: (one.places.result / "result.json").unlink(), "result.json: is missing"),
    "result.json is cut": (lambda one: (one.places.result / "result.json").write_text('{"id": '), "result.json: is not a result"),
    "another key": (lambda one: (one.places.folder / "key").write_text("0123456789ab\n"), "the file `key` says key 0123456789ab"),
    "a better number": (better_by_one, "its counts of correct answers are not those of predictions.npz"),
    "other answers": (other_answers, "its counts of correct answers are not those of predictions.npz"),
}


def as_it_is() -> None:
    okd.training.train.clear = clear


def test_a_finished_run_leaves_no_resume_file_and_starts_from_scratch(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial("resnet8-baseline").fresh()
    first = nursery.train(one, hooks=[as_it_is])
    assert first.code == 0, first.text
    assert not list(one.scratch.glob("resume*"))
    shutil.rmtree(one.places.folder)
    again = nursery.train(one, hooks=[as_it_is])
    assert again.code == 0, again.text
    assert again.steps == first.steps > 0
    assert (read_json(one.places.result / "result.json") or {})["resumes"] == 0


def test_all_is_well(nursery: Nursery, done: Trial) -> None:
    child = nursery.say(done, "verify")
    assert child.code == 0, child.text
    assert child.text == "1 results and 1 resumable runs checked, 0 problems\n"


@pytest.mark.parametrize("kind", RESULTS)
def test_verify_names_what_does_not_hold_of_a_result(kind: str, nursery: Nursery, copied: Trial) -> None:
    spoil, words = RESULTS[kind]
    spoil(copied)
    child = nursery.say(copied, "verify")
    assert child.code == 1
    assert [line for line in child.lines("okd: ") if words in line], child.text
    assert f"okd: results/paper/{copied.run.id}/" in child.text
    answer = json.loads(nursery.say(copied, "verify", "--json").text)
    assert any(words in line for line in answer["problems"])


CHECKPOINTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a flipped bit": (lambda folder: flip(next(folder.glob("resume-*.pt"))), "SHA-256 mismatch"),
    "a cut": (lambda folder: os.truncate(next(folder.glob("resume-*.pt")), 100), "has 100 bytes, not "),
    "missing": (lambda folder: next(folder.glob("resume-*.pt")).unlink(), "is missing"),
    "the index is missing": (lambda folder: (folder / "resume.json").unlink(), "resume.json: is missing"),
    "the index is damaged": (lambda folder: (folder / "resume.json").write_bytes(b"\x80"), "resume.json: is damaged"),
    "not in the index": (lambda folder: (folder / f"resume-1-{'0' * 16}.pt").touch(), "is not the one in its name"),
    "in another run's folder": (lambda folder: folder.rename(folder.with_name("0123456789ab")), "belongs to another spec"),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_verify_names_what_does_not_hold_of_a_checkpoint(kind: str, nursery: Nursery, copied: Trial) -> None:
    spoil, words = CHECKPOINTS[kind]
    spoil(copied.scratch)
    child = nursery.say(copied, "verify")
    assert child.code == 1
    assert any(words in line and line.startswith("okd: scratch/") for line in child.lines("okd: ")), child.text


def state_of(child: Child, one: Trial) -> dict[str, Any]:
    return next(row for row in json.loads(child.text) if row["id"] == one.run.id)


def test_status_of_a_run_through_its_life(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial("resnet8-snapshot").fresh()
    assert state_of(nursery.say(one, "status", "--json"), one)["state"] == "not run"
    alive = nursery.start(one, hooks=[after(_Sitting, "after_step", lambda: time.sleep(0.05))])
    assert alive.wait_for_steps(2)
    running = state_of(nursery.say(one, "status", "--json"), one)
    assert (running["state"], running["progress"]["epochs"]) == ("running", 4)
    assert f"process {alive.pid} on " in running["detail"]
    alive.send(signal.SIGKILL)
    alive.wait()
    stopped = state_of(nursery.say(one, "status", "--json"), one)
    assert stopped["state"] == "stopped", "a killed trainer is no running one, however fresh its progress"
    assert "the same command resumes" in stopped["detail"]
    assert "1 stopped" in nursery.say(one, "status").text
    assert nursery.train(one).code == 0
    assert state_of(nursery.say(one, "status", "--json"), one)["state"] == "done"


def test_status_sees_a_trainer_on_another_machine(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    """A cluster's nodes share the folder and nothing else: the lock's heartbeat tells."""
    one = trial("2xresnet8-dml").fresh()
    write_json(one.scratch / "lock" / "owner.json", {"host": "node7", "boot": "b", "pid": 1, "started": 1.0, "token": "t"})
    found = state_of(nursery.say(one, "status", "--json"), one)
    assert (found["state"], found["detail"]) == ("running", "starting; process 1 on node7")
    then = time.time() - 3600
    os.utime(one.scratch / "lock" / "owner.json", (then, then))
    assert state_of(nursery.say(one, "status", "--json"), one)["state"] == "not run"
    one.fresh()


def test_watch_as_json(nursery: Nursery, done: Trial, tmp_path: Path) -> None:
    """An object a look, to the end: here at once, for the only planned run is done."""
    shutil.copytree(done.root, tmp_path / "copy")
    index = read_json(tmp_path / "copy" / "plan" / "index.json")
    assert index is not None
    index["run_index"] = {done.run.id: index["run_index"][done.run.id]}
    write_json(tmp_path / "copy" / "plan" / "index.json", index)
    child = nursery.say(Trial(tmp_path / "copy", done.run), "status", "--watch", "--json")
    assert child.code == 0, child.text
    assert [json.loads(line) for line in child.text.splitlines()] == [{"done": 1, "runs": 1, "share": 1.0, "running": []}]


def test_doctor_names_damaged_checkpoints_and_dead_trainers(nursery: Nursery, copied: Trial, trial: Callable[[str], Trial]) -> None:
    assert "damaged resume files" not in nursery.say(copied, "doctor").text
    other = Trial(copied.root, trial("2xresnet8-dml").run)
    killed_after(nursery, other, 3)
    next(other.scratch.glob("resume-3-*.pt")).write_bytes(b"rubbish")
    said = nursery.say(other, "doctor")
    assert said.code == 1
    assert said.lines("the lock of a dead trainer; the next one takes it over; type: okd gc")
    assert nursery.train(other).code == 0
    assert nursery.say(other, "doctor").lines(
        f"1 damaged resume files were set aside ({other.run.id}): this disk may be failing; type: okd verify"
    )
