"""A trainer's turn in a SLURM job, with SLURM's two commands played by scripts; tests/workflow/test_cluster.py has the real ones."""

import os
import time
from pathlib import Path

import pytest

from okd.training.allocation import Allocation, seconds
from okd.training.stop import Stop


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What scontrol was told; squeue says that one second is left."""
    file = tmp_path / "said"
    for name, does in (("squeue", "echo 0:01"), ("scontrol", f'echo "$@" >> {file}')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("OKD_REQUEUE_AHEAD", "120")
    return file


def test_a_trainer_is_warned_and_its_job_put_back(said: Path) -> None:
    stop, allocation = Stop(), Allocation.here()
    assert allocation is not None
    started = time.monotonic()
    allocation.warn()
    while not stop.wanted and time.monotonic() - started < 5:
        time.sleep(0.01)
    assert 0.4 < time.monotonic() - started < 2, "not in the first half of what is left, although two minutes would be"
    allocation.put_back(stop)
    assert said.read_text() == "requeue 17\n"


@pytest.mark.parametrize("reason", [None, "SIGTERM", "SIGINT"])
def test_a_job_that_was_cancelled_or_has_ended_is_not_put_back(said: Path, reason: str | None) -> None:
    stop, allocation = Stop(), Allocation.here()
    assert allocation is not None
    stop.reason = reason
    allocation.put_back(stop)
    assert not said.exists()


@pytest.mark.parametrize("name", ["SLURM_JOB_ID", "OKD_REQUEUE_AHEAD"])
def test_only_a_job_of_the_profile_is_put_back(said: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    assert Allocation.here() is None


def test_without_an_answer_nobody_is_warned(said: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    stop, allocation = Stop(), Allocation.here()
    assert allocation is not None
    allocation.warn()
    time.sleep(0.05)
    assert not stop.wanted


@pytest.mark.parametrize(
    ("words", "expected"), [("1-02:03:04", 93784), ("2:00:00", 7200), ("59:10", 3550), ("UNLIMITED", None), ("INVALID", None), ("", None)]
)
def test_slurms_times(words: str, expected: float | None) -> None:
    assert seconds(words) == expected
