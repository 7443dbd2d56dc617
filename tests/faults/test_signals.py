"""Rows B3 to B5: signals and a dead parent. The trainer saves at the next step, ends with 75, and goes on to the same bits."""

import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from child import Child, Hook, Nursery, after, before
from tiny import EPOCHS, STEPS, Trial

import okd.cli.train
import okd.training.train
from okd.training import checkpoint
from okd.training.lock import RunLock
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)
RUN = "resnet8-one-students.2-ramp-up.2"
PROMPT_S = 2.0


def signalled(nursery: Nursery, one: Trial, number: int, dice: random.Random) -> tuple[Child, float]:
    """Send a signal twice at a random moment of training; the child, and the seconds that it took to end."""
    child = nursery.start(one)
    assert child.wait_for_steps(1), child.wait().text
    time.sleep(dice.uniform(0, 0.02))
    told, sent = child.steps, time.monotonic()
    child.send(number)
    child.send(number)
    child.wait()
    assert child.steps <= told + 2, "within one step"
    return child, child.ended - sent


def check_stopped(child: Child, reason: str) -> None:
    assert child.code == 75, child.text
    assert len(child.lines("okd: ")) == 1
    assert f"stopped ({reason})" in child.lines("okd: ")[0]
    assert "saved" in child.text
    assert "Traceback" not in child.text


@pytest.mark.parametrize(
    ("name", "times"),
    [("SIGTERM", 2), ("SIGUSR1", 1), *(pytest.param(*more, marks=pytest.mark.slow) for more in (("SIGINT", 1), ("SIGTERM", 10)))],
)
def test_signals_at_random(
    name: str, times: int, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str], record_property
) -> None:
    one = trial(RUN)
    wanted, dice, seconds = whole(one), random.Random(times), list[float]()
    for _ in range(times):
        child, took = signalled(nursery, one, signal.Signals[name], dice)
        check_stopped(child, name)
        seconds.append(took)
    assert statistics.median(seconds) < PROMPT_S
    assert nursery.train(one).code == 0
    assert one.bits() == wanted
    record_property("table", f"{name}, {times} times: gone after {statistics.median(seconds):.3f} s (median), {max(seconds):.3f} s (worst)")


def twice() -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


MOMENTS: dict[str, Hook] = {
    "before the lock": before(RunLock, "acquire", twice),
    "before the first step": before(okd.training.train, "Session", twice),
    "while it saves": before(checkpoint, "write_index", twice, nth=3),
    "while the teacher remembers": before(okd.training.train, "show", twice, nth=2),
    "during evaluation": before(okd.training.train, "evaluate", twice, nth=2),
    "during the last evaluation": before(okd.training.train, "evaluate", twice, nth=EPOCHS),
}


@pytest.mark.parametrize(
    "moment", [pytest.param(name, marks=() if name in ("during evaluation",) else pytest.mark.slow) for name in MOMENTS]
)
def test_a_signal_at_a_bad_moment(moment: str, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[MOMENTS[moment]])
    check_stopped(child, "SIGTERM")
    assert nursery.train(one).code == 0
    assert one.bits() == wanted


@pytest.mark.slow
def test_a_signal_while_it_publishes_costs_nothing(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    assert nursery.train(one, hooks=[before(okd.training.train, "publish", twice)]).code == 0
    assert one.bits() == wanted


def test_an_orphan_stops_itself(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    """Its parent is killed, as an engine is by a machine that lacks memory: 75 within one step."""
    one = trial(RUN)
    wanted = whole(one)
    note = one.root.parent / "ended"

    def become_a_grandchild() -> None:
        parent = os.getpid()
        if os.fork():
            while True:
                signal.pause()
        os.environ["OKD_PARENT"] = str(parent)
        leave = os._exit

        def ended(code: int) -> None:
            note.write_text(str(code))
            leave(code)

        os._exit = ended  # type: ignore[assignment]

    child = nursery.start(one, hooks=[become_a_grandchild, after(_Sitting, "after_step", lambda: time.sleep(0.01))])
    assert child.wait_for_steps(3)
    child.send(signal.SIGKILL)
    told = child.steps
    assert child.wait().code == -signal.SIGKILL
    assert child.steps <= told + 2, "all that it told before its pipe was closed: within one step"
    assert child.steps < EPOCHS * STEPS
    wait_for(note)
    assert note.read_text() == "75"
    assert f"the process that started it ({child.pid}) is gone" in child.text
    assert nursery.train(one).code == 0
    assert one.bits() == wanted


def wait_for(file: Path) -> None:
    end = time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
