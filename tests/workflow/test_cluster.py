"""profiles/slurm on a real SLURM: what is cancelled, preempted or out of time goes on; a group keeps what it has finished."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster import ask, install, missing, running
from project import Checkout, kill_group, wait_until
from small import BASELINE, ONE, STUDENT, TEACHER, make_checkout

pytestmark = pytest.mark.slow
COMMAND = ("snakemake", "--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "10")


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Installs SLURM only where OKD_INSTALL_SLURM=1 allows it."""
    why = missing()
    if why and os.geteuid() == 0 and os.environ.get("OKD_INSTALL_SLURM"):
        try:
            install()
            why = missing()
        except (OSError, subprocess.SubprocessError) as problem:
            why = f"its packages cannot be installed ({problem})"
    if why:
        pytest.skip(f"no SLURM: {why}")
    with running(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "checkout")


@contextmanager
def at_work(checkout: Checkout, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Snakemake on the cluster, which must end well. What it said is in `snakemake.log`, and is shown where it did not."""
    log = checkout.root.parent / "snakemake.log"
    with checkout.start("sh", "-c", 'exec "$@" > "$0" 2>&1', log, *COMMAND, *arguments) as process:
        try:
            yield process
        except BaseException:
            kill_group(process)
            raise
        code = process.wait(timeout=600)
    assert code == 0, log.read_text()


def job(run: str, *, state: str = "running") -> str:
    """SLURM's number of the job that trains this run; empty where there is none in this state."""
    rows = ask("squeue", "--noheader", f"--states={state}", "--format=%i|%k").splitlines()
    return next((row.split("|")[0] for row in rows if f"_{run}_" in row), "")


def facts(number: str) -> dict[str, str]:
    """What SLURM knows of a job."""
    return dict(word.split("=", 1) for word in ask("scontrol", "show", "job", number).split() if "=" in word)


def finished(checkout: Checkout, run: str) -> bool:
    return (checkout.folder(run) / checkout.index()[run]["key"] / "result.json").exists()


def result(checkout: Checkout, run: str) -> dict:
    return json.loads((checkout.folder(run) / checkout.index()[run]["key"] / "result.json").read_text())


def share(checkout: Checkout, run: str) -> float:
    """How much of a run is done."""
    try:
        return json.loads((checkout.root / "scratch" / run / checkout.index()[run]["key"] / "progress.json").read_text())["fraction"]
    except (OSError, ValueError):
        return 0.0


def numbers(checkout: Checkout, run: str) -> dict[str, bytes]:
    folder = checkout.folder(run) / checkout.index()[run]["key"]
    return {name: (folder / name).read_bytes() for name in ("weights.safetensors", "predictions.npz")}


def test_a_cancelled_and_a_preempted_training_resume_to_the_same_bytes(checkout: Checkout, tmp_path: Path) -> None:
    """Real trainers: ONE's job is cancelled, the teacher's gives way to a job of higher priority, the student waits for the teacher."""
    checkout.edit("papers/small.yaml", "epochs: 2", "epochs: 10")
    checkout.okd("plan", "small-t1/resnet/one", "small-t2", "--save")
    checkout.stub = {"STUB_TRAINER": "real"}
    unbroken = checkout.copy(tmp_path / "unbroken")
    with at_work(checkout):
        wait_until(lambda: min(share(checkout, ONE), share(checkout, TEACHER)) > 0.1)
        status = checkout.okd("status").out
        assert f"running   {ONE}" in status and f"running   {TEACHER}" in status and f"not run   {STUDENT}" in status, status
        cancelled, preempted = job(ONE), job(TEACHER)
        assert "gpu:1" in facts(preempted)["TresPerJob"], "one GPU a training"
        ask("scancel", cancelled)
        ask("sbatch", "--partition=urgent", "--gpus=2", "--output=/dev/null", "--wrap=sleep 1")
        wait_until(lambda: job(ONE) not in ("", cancelled) and job(TEACHER) == preempted)
    assert facts(preempted)["Restarts"] == "1"
    assert (checkout.root / "reports" / "report.html").exists()
    assert {run: result(checkout, run)["resumes"] for run in (ONE, TEACHER, STUDENT)} == {ONE: 1, TEACHER: 1, STUDENT: 0}
    unbroken.okd("fetch", "digits")
    for run in (ONE, TEACHER):
        unbroken.okd("train", run)
        assert result(unbroken, run)["resumes"] == 0
        assert numbers(checkout, run) == numbers(unbroken, run), run
    assert checkout.wanted_by_snakemake() == []


def test_a_training_longer_than_its_time_takes_another_turn(checkout: Checkout) -> None:
    """A limit of one minute, of which the last half is too near: the trainer saves, and SLURM starts the same job again."""
    checkout.okd("plan", "small-t1/resnet/one", "--save")
    checkout.stub = {"STUB_STEPS": "40", "STUB_STEP_S": "1"}
    with at_work(checkout, "--set-resources", "train:runtime=1"):
        wait_until(lambda: bool(job(ONE)))
        first = job(ONE)
    assert checkout.trained() == [ONE]
    assert result(checkout, ONE)["resumes"] >= 1
    assert int(facts(first)["Restarts"]) >= 1, "by SLURM, not by another try of Snakemake's"


def test_a_group_that_starts_again_keeps_its_finished_runs(checkout: Checkout) -> None:
    checkout.okd("plan", "small-t1/resnet/one", "small-t1/resnet/baseline", "--save")
    checkout.stub = {"STUB_STEPS": "6", "STUB_STEP_S": "1"}
    with at_work(checkout, "--groups", "train=small", "--group-components", "small=2"):
        wait_until(lambda: any(finished(checkout, run) for run in (ONE, BASELINE)))
        (number,) = ask("squeue", "--noheader", "--states=running", "--format=%i").split()
        before = {run: numbers(checkout, run) for run in (ONE, BASELINE) if finished(checkout, run)}
        assert len(before) == 1, "they take turns on one GPU"
        ask("scontrol", "requeue", number)
    assert sorted(checkout.trained()) == sorted([ONE, BASELINE]), "each once"
    for run, kept in before.items():
        assert numbers(checkout, run) == kept
