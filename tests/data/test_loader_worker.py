"""Row B4: a loader's worker that is killed ends the run with one clear line; nothing hangs and nothing is published."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ownimages import SETTINGS, planned, supply

import okd.data.stream
from okd.cli import app, main
from okd.data.datasets import fetch
from okd.plan.store import Places, read_json
from okd.training.session import Session


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_is_killed(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    project = supply(tmp_path, monkeypatch)
    fetch("mine", project, SETTINGS)
    run = planned(project)
    plain_item, plain_step = okd.data.stream.Pictures.__getitem__, Session.take_step

    def slowly(self: okd.data.stream.Pictures, index: int) -> Any:
        time.sleep(0.02)  # so that it is at work when it dies
        return plain_item(self, index)

    def step(self: Session, batch: Any) -> None:
        plain_step(self, batch)
        for worker in multiprocessing.active_children():
            assert worker.pid
            os.kill(worker.pid, number)

    monkeypatch.setattr(okd.data.stream.Pictures, "__getitem__", slowly)
    monkeypatch.setattr(Session, "take_step", step)
    monkeypatch.setattr("okd.training.train.choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr("okd.data.stream.MOST_WORKERS", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setenv("OKD_DEVICES", "")
    monkeypatch.setattr(sys, "argv", ["okd", "train", run.id])
    monkeypatch.setattr(app, "registered_commands", [])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("okd: ")]
    assert len(set(lines)) == 1
    assert "DataLoader worker" in lines[0]
    assert f"again: dvc repro train@{run.id}" in lines[0]
    assert not Places(project, run).folder.exists()
    assert "DataLoader worker" in (read_json(Places(project, run).failure) or {})["error"]
