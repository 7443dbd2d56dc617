"""Rows B1 and B2: a trainer killed at nine named points of saving and publishing, and forty times at random."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from child import Hook, Nursery, after, before, kill
from tiny import EPOCHS, STEPS, Trial

from okd.training import checkpoint, disk, publish
from okd.training.entries import resume_files
from okd.training.lease import visible_devices

pytest_plugins = ("trainers",)
RUN = "resnet8-one-students.2-ramp-up.2"


def saves(file: Path, *_) -> bool:
    return file.name.startswith(".resume-")


def syncs(descriptor: int) -> bool:
    return "/.resume-" in str(Path(f"/proc/self/fd/{descriptor}").readlink())


def half_written(nth: int) -> Hook:
    """Dies between two writes of one file."""

    def halve(file: Path, raw: bytes) -> None:
        with file.open("wb") as handle:
            handle.write(raw[: len(raw) // 2])
            handle.flush()
            kill()

    def install() -> None:
        plain, calls = disk.write_durably, [0]

        def write(file: Path, raw: bytes) -> None:
            calls[0] += saves(file)
            (halve if calls[0] == nth else plain)(file, raw)

        disk.write_durably = write

    return install


POINTS: dict[str, Callable[[int], Hook]] = {
    "before the temporary file": lambda nth: before(disk, "write_durably", kill, nth=nth, only=saves),
    "in the middle of writing": half_written,
    "after writing": lambda nth: before(os, "fsync", kill, nth=nth, only=syncs),
    "after fsync": lambda nth: after(os, "fsync", kill, nth=nth, only=syncs),
    "after the rename": lambda nth: after(Path, "replace", kill, nth=nth, only=saves),
    "before the index": lambda nth: before(checkpoint, "write_index", kill, nth=nth),
    "after the index": lambda nth: after(checkpoint, "write_index", kill, nth=nth),
    "in the middle of pruning": lambda nth: after(Path, "unlink", kill, nth=nth, only=lambda file, *_: file.name.startswith("resume-")),
    "before result.json": lambda _: before(publish, "write_json", kill, only=lambda file, _: file.name == "result.json"),
}
QUICK = ("in the middle of writing", "after the rename", "in the middle of pruning", "before result.json")


def check_killed_and_resumed(nursery: Nursery, one: Trial, hook: Hook) -> None:
    killed = nursery.train(one, hooks=[hook])
    assert killed.code == -signal.SIGKILL, killed.text
    assert not one.places.finished()
    resumed = nursery.train(one)
    assert resumed.code == 0, resumed.text
    assert one.temporaries() == []
    assert len(resume_files(one.scratch)) == checkpoint.KEEP


@pytest.mark.parametrize("point", [pytest.param(point, marks=() if point in QUICK else pytest.mark.slow) for point in POINTS])
def test_killed_at(point: str, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    check_killed_and_resumed(nursery, one, POINTS[point](4))
    assert one.bits() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, EPOCHS * STEPS - 2])
@pytest.mark.parametrize("point", POINTS)
def test_killed_early_and_late(
    point: str, nth: int, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = trial(RUN)
    wanted = whole(one)
    check_killed_and_resumed(nursery, one, POINTS[point](nth))
    assert one.bits() == wanted


def kill_at_random(nursery: Nursery, one: Trial, dice: random.Random, kills: int) -> Counter[int]:
    """Kill it so many times at random moments of training, then let it end; count the steps at which it was hit."""
    hit = Counter[int]()
    for _ in range(kills):
        child = nursery.start(one)
        if not child.wait_for_steps(dice.randint(1, 2)):
            raise AssertionError(f"came to its end before all kills:\n{child.wait().text}")
        time.sleep(dice.uniform(0, 0.02))  # a step with its save takes about as long
        child.send(signal.SIGKILL)
        assert child.wait().code == -signal.SIGKILL, child.text
        hit[child.steps] += 1
    assert nursery.train(one).code == 0
    return hit


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        (RUN, 4),
        pytest.param("resnet8-okddip-students.3-ramp-up.2", 14, marks=pytest.mark.slow),
        pytest.param("2xresnet8-md-t-in.1-t-d.1", 13, marks=pytest.mark.slow),
        pytest.param("2xresnet8-kdcl-general-held-out.10", 9, marks=pytest.mark.slow),
    ],
)
def test_random_kills(
    name: str, kills: int, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str], record_property
) -> None:
    """Forty over the four runs. No kill may leave a torn file, another number, or a checkpoint set aside."""
    one = trial(name)
    wanted = whole(one)
    hit = kill_at_random(nursery, one, random.Random(kills), kills)
    assert sum(hit.values()) == kills
    assert min(hit) >= 1, "all hit the training, none the import"
    assert one.bits() == wanted
    assert not list(one.scratch.glob("*.corrupt"))
    assert one.temporaries() == []
    assert one.result["resumes"] <= kills
    record_property("table", f"{name}: {kills} kills, after so many steps of a sitting: {dict(sorted(hit.items()))}")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not visible_devices(), reason="no GPU")
def test_random_kills_on_a_gpu(trial: Callable[[str], Trial], tmp_path: Path) -> None:
    one, nursery = trial(RUN), Nursery(tmp_path, "cuda")
    wanted = nursery.whole(one)
    one.fresh()
    hit = kill_at_random(nursery, one, random.Random(0), 10)
    assert sum(hit.values()) == 10
    assert one.bits() == wanted
    assert one.result["inexact_resumes"] == 0
