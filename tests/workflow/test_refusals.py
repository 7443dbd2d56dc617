"""Saying no: one line of ours, no traceback, the right exit code, nothing destroyed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import PATIENCE_S, ROOT, Checkout, Done, tree, wait_until
from small import ONE, STUDENT, TEACHER, finished_checkout, make_checkout

from okd.plan.rates import has_gpu

DVC_FAILED = 255


def only_line(done: Done) -> str:
    """The one thing that we said, however often an engine tried."""
    assert "Traceback" not in done.text
    said = {line for line in done.lines() if not re.match(r"okd: (scale |\d+ of \d+ runs done)", line)}
    assert len(said) == 1, said
    return said.pop()


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "checkout")


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "line"),
    [
        ("params.yaml", "device_hours: 24", "device_hours: 0.001", 6, "params.yaml allows 0.001: raise budget.device_hours there"),
        ("params.yaml", "scale: paper", "scale: papper", 2, "scale: 'papper' is not one of demo, short, paper, did you mean 'paper'?"),
        pytest.param(
            *("papers/small.yaml", "ONE: {method: one}", "ONE: {method: noe}", 2, "unknown method 'noe', did you mean 'one'?"),
            marks=pytest.mark.slow,
        ),
        ("papers/margins.yaml", "digits: 1.0", "digits: -1.0", 2, "digits: -1.0 is not a number of points above 0 and at most 10"),
    ],
    ids=["over budget", "params.yaml", "a paper", "margins"],
)
def test_what_okd_plan_refuses_both_engines_refuse(fresh: Checkout, file: str, old: str, new: str, code: int, line: str) -> None:
    fresh.edit(file, old, new)
    before = tree(fresh.root / "plan")
    for command, expected in (
        (("okd", "plan", "--check-budget"), code),
        (("snakemake", "--cores", "2"), code),
        (("dvc", "repro"), DVC_FAILED),
    ):
        assert line in only_line(fresh.run(*command, code=expected))
    assert tree(fresh.root / "plan") == before
    assert not (fresh.root / "results").exists()


def test_a_cluster_is_priced_by_its_gpus(fresh: Checkout) -> None:
    """Not by the login node; a GPU computes what two CPU cores here would not be allowed to."""
    gpu, cpu = (json.loads(fresh.okd("plan", "small", "--device", kind, "--json").out)["price"]["hours"] for kind in ("gpu", "cpu"))
    assert gpu < cpu
    fresh.edit("params.yaml", "device_hours: 24", f"device_hours: {(gpu + cpu) / 2:.8f}")
    assert "CPU core-hours" in only_line(fresh.okd("plan", "--check-budget", "--device", "cpu", code=6))
    fresh.okd("plan", "--check-budget", "--device", "gpu")
    fresh.snakemake("--dry-run", "--profile", str(ROOT / "profiles" / "slurm"))
    if not has_gpu():
        assert "CPU core-hours" in only_line(fresh.snakemake("--dry-run", code=6))


def test_snakemakes_own_configuration_is_refused(fresh: Checkout) -> None:
    for arguments in (("--config", "scale=demo"), ("--dry-run", "--config", "scale=demo")):
        assert "--save" in only_line(fresh.snakemake(*arguments, code=2))


def test_an_environment_that_nobody_activated_will_do(fresh: Checkout) -> None:
    command = [Path(sys.executable).with_name("snakemake"), "--dry-run", "--cores", "1"]
    done = subprocess.run(command, cwd=fresh.root, env=os.environ | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("by", ["snakemake", "dvc repro"])
def test_damaged_data_are_refused_before_training(by: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.delete(ONE)
    images = checkout.root / "data" / "digits" / "train_images.npy"
    raw = bytearray(images.read_bytes())
    raw[-1] ^= 1
    images.write_bytes(raw)
    assert "delete the folder and run `okd fetch digits`" in only_line(checkout.okd("train", ONE, code=4))
    done = checkout.snakemake(code=1) if by == "snakemake" else checkout.dvc("repro", f"train@{ONE}", code=DVC_FAILED)
    assert "differ" in only_line(done)
    assert checkout.trained() == []


def test_a_failed_run_stops_no_other_and_is_shown(fresh: Checkout) -> None:
    fresh.stub["STUB_FAIL"] = TEACHER
    line = only_line(fresh.snakemake(code=1))
    assert line.startswith(f"okd: {TEACHER}: out of memory, as the test wished; the batch stays what the recipe says")
    assert line.endswith(f"; again: dvc repro train@{TEACHER}")
    assert sorted(fresh.trained()) == sorted(set(fresh.index()) - {TEACHER, STUDENT})
    report = (fresh.root / "reports" / "report.html").read_text()
    assert "out of memory, as the test wished" in report
    assert f"dvc repro train@{TEACHER}" in report
    fresh.stub.clear()
    fresh.dvc("repro", f"train@{TEACHER}")
    fresh.snakemake()
    assert fresh.trained() == [TEACHER, STUDENT]
    assert "RuntimeError" not in (fresh.root / "reports" / "report.html").read_text()


@pytest.mark.slow
def test_dvc_goes_on_with_other_runs_where_it_is_asked_to(fresh: Checkout) -> None:
    fresh.stub["STUB_FAIL"] = TEACHER
    done = fresh.dvc("repro", "--keep-going", code=DVC_FAILED)
    assert only_line(done).startswith(f"okd: {TEACHER}: out of memory, as the test wished")
    assert sorted(fresh.trained()) == sorted(set(fresh.index()) - {TEACHER, STUDENT})


def test_a_run_that_is_in_progress_elsewhere_is_waited_for(fresh: Checkout) -> None:
    fresh.okd("plan", "small-t1/resnet/one", "--save")
    fresh.okd("fetch", "digits")
    end = fresh.root / "end"
    slow = Checkout(fresh.root, {"STUB_UNTIL": str(end), "STUB_STEP_S": "0.02"})
    lock = fresh.root / "scratch" / ONE / fresh.index()[ONE]["key"] / "lock"
    with slow.start("okd", "train", ONE) as first:
        wait_until(lock.exists)
        assert f"another trainer has this run (process {first.pid} on" in only_line(fresh.okd("train", ONE, "--no-wait", code=75))
        assert f"is being trained by process {first.pid}" in fresh.okd("doctor").out
        with fresh.start("snakemake", "--cores", "2") as second:
            wait_until(lambda: "waiting for another trainer of this run" in log_of(fresh))
            end.touch()
            out, err = second.communicate(timeout=PATIENCE_S)
            assert second.returncode == 0, out + err
        assert first.wait() == 0
    assert fresh.trained() == [ONE]
    assert "already done" in log_of(fresh)


def log_of(checkout: Checkout) -> str:
    return "".join(file.read_text() for file in (checkout.root / "logs" / "train").glob("*"))
