"""Rows H2 and H3: two trainers on one run, owners that died, are elsewhere, or slept too long."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from child import Child, Hook, Nursery, after, before
from tiny import Trial

import okd.cli.train
from okd.plan.store import read_json, write_json
from okd.training import checkpoint, disk, publish
from okd.training.entries import Entry, read_index
from okd.training.lock import RunLock
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)
RUN = "resnet8-one-students.2-ramp-up.2"
STALE_S = 0.4


def hurried() -> None:
    """A lock that goes stale in a fraction of a second."""
    okd.cli.train.RunLock = partial(RunLock, heartbeat_s=STALE_S / 8, stale_s=STALE_S)  # type: ignore[assignment,misc]


def slowly(seconds: float) -> Hook:
    return after(_Sitting, "after_step", lambda: time.sleep(seconds))


def test_a_second_trainer_does_not_wait_where_it_is_told_so(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial(RUN).fresh()
    first = nursery.start(one, hooks=[slowly(0.05)])
    assert first.wait_for_steps(1)
    second = nursery.train(one, "--no-wait")
    assert (second.code, second.steps) == (75, 0)
    assert f"another trainer has this run (process {first.pid} on " in second.text
    assert len(second.lines("okd: ")) == 1
    first.send(signal.SIGKILL)
    first.wait()


def test_a_second_trainer_waits_and_finds_it_done(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    first = nursery.start(one, hooks=[slowly(0.02)])
    assert first.wait_for_steps(1)
    second = nursery.train(one)
    assert first.wait().code == second.code == 0
    assert second.steps == 0
    assert f"waiting for another trainer of this run (process {first.pid} on " in second.text
    assert "already done" in second.text
    assert one.bits() == wanted


def test_a_dead_owner_is_replaced_at_once(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    first = nursery.start(one)
    assert first.wait_for_steps(2)
    first.send(signal.SIGKILL)
    first.wait()
    assert (one.scratch / "lock").is_dir()
    second = nursery.train(one, "--no-wait")
    assert second.code == 0, second.text
    assert one.bits() == wanted


@pytest.mark.parametrize(("age_s", "code"), [(0, 75), (3600, 0)], ids=["fresh", "stale"])
def test_an_owner_on_another_machine(age_s: int, code: int, nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial(RUN).fresh()
    file = one.scratch / "lock" / "owner.json"
    write_json(file, {"host": "elsewhere", "boot": "b", "pid": 1, "started": 1.0, "token": "t"})
    then = time.time() - age_s
    os.utime(file, (then, then))
    child = nursery.train(one, "--no-wait")
    assert child.code == code, child.text
    assert ("process 1 on elsewhere" in child.text) == (code == 75)


def suspended(nursery: Nursery, one: Trial, *hooks: Hook) -> Child:
    """A trainer that has stopped itself (SIGSTOP), as one is whose machine sleeps."""
    child = nursery.start(one, hooks=[hurried, *hooks])
    end = time.monotonic() + 60
    while "T (stopped)" not in Path(f"/proc/{child.pid}/status").read_text():
        assert time.monotonic() < end, child.text
        time.sleep(0.01)
    return child


def stop_here() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


SLEEPS: dict[str, Hook] = {
    "between two steps": after(_Sitting, "after_step", stop_here, nth=4),
    "while it writes": after(disk, "write_durably", stop_here, nth=4, only=lambda file, *_: file.name.startswith(".resume-")),
    "while it publishes": after(publish, "write_durably", stop_here, nth=2),
    "before the index": before(checkpoint, "write_index", stop_here, nth=4),
}


@pytest.mark.parametrize("moment", [pytest.param(name, marks=() if name == "while it writes" else pytest.mark.slow) for name in SLEEPS])
def test_an_owner_that_slept_writes_nothing(
    moment: str, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    """It sleeps past the limit, another trainer takes over and ends, it wakes."""
    one = trial(RUN)
    wanted = whole(one)
    sleeper = suspended(nursery, one, SLEEPS[moment])
    time.sleep(1.5 * STALE_S)
    other = nursery.train(one, hooks=[hurried])
    assert other.code == 0, other.text
    before_waking = written(one)
    sleeper.send(signal.SIGCONT)
    sleeper.wait()
    assert sleeper.code == 75, sleeper.text
    assert "was taken over by" in sleeper.text
    after_waking = written(one)
    changed = {name for name in before_waking.keys() | after_waking.keys() if before_waking.get(name) != after_waking.get(name)}
    allowed = {"resume.json"} if moment == "before the index" else set()  # it had passed its last check: the files' names make up for it
    assert {Path(name).name for name in changed} <= allowed
    assert one.bits() == wanted


@pytest.mark.slow
def test_the_files_names_make_up_for_an_old_index(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    """An owner that fell asleep after its last check puts an index back whose files are gone: nothing is lost."""
    one = trial(RUN)
    wanted = whole(one)
    first = nursery.train(one, hooks=[after(_Sitting, "after_step", lambda: os.kill(os.getpid(), signal.SIGTERM), nth=3)])
    assert first.code == 75
    entries = read_index(one.scratch)
    assert entries
    gone = [Entry(file=f"resume-{step}-{'0' * 16}.pt", step=step, key=one.run.key, bytes=1, sha256="0" * 64) for step in (2, 1)]
    write_json(one.scratch / "resume.json", {"newest_first": [vars(entry) for entry in gone]})
    again = nursery.train(one)
    assert again.code == 0, again.text
    assert f"resumes after {entries[0].step} of" in again.text
    assert one.bits() == wanted
    assert (read_json(one.places.result / "result.json") or {})["resumes"] == 1


def written(one: Trial) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for folder in ("scratch", "results") for file in (one.root / folder).rglob("*") if file.is_file()}
