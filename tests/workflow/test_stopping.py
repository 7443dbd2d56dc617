"""Stopping and killing either engine: trainers save and end, nothing half-done counts, the same command continues."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from agreement import NOTHING, Agreement
from project import PATIENCE_S, Checkout, kill_group, wait_until
from small import BASELINE, ONE, STUDENT, TEACHER, finished_checkout

PROMPT_S = 5.0
COMMANDS = {"snakemake": ("snakemake", "--cores", "2"), "dvc repro": ("dvc", "repro")}
ENDS = {"snakemake": 1, "dvc repro": 255}


@pytest.fixture
def checkout(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """ONE and the baseline are missing, and their trainings never end by themselves."""
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    for run in (ONE, BASELINE):
        checkout.delete(run)
    shutil.rmtree(checkout.root / "scratch")
    checkout.stub |= {"STUB_UNTIL": str(checkout.root / "end"), "STUB_STEP_S": "0.02"}
    return checkout


def trainers(checkout: Checkout) -> list[int]:
    """Processes of living trainers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, here = (entry / "cmdline").read_bytes().split(b"\0"), (entry / "cwd").resolve() == checkout.root
        except OSError:
            continue
        if here and b"train" in command and any(word.endswith(b"stub.py") for word in command):
            found.append(int(entry.name))
    return found


def at_work(checkout: Checkout, number: int) -> bool:
    return len(list((checkout.root / "scratch").glob("*/*/progress.json"))) >= number and len(trainers(checkout)) >= number


def end_of(process: subprocess.Popen[str]) -> tuple[float, int, str]:
    """Seconds until it ended, its code, and what it said."""
    started = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE_S)
    return time.monotonic() - started, process.returncode, out + err


def saved(checkout: Checkout) -> list[str]:
    return sorted(file.parts[-3] for file in (checkout.root / "scratch").glob("*/*/resume.json"))


def goes_on(checkout: Checkout, by: str, missing: list[str], uncommitted: Sequence[str] = ()) -> None:
    """Nothing half-done counts, nothing finished is lost, and the same command does what is missing, from where it was."""
    interrupted = saved(checkout)
    checkout.stub.clear()
    agreement = Agreement(checkout)
    agreement.step("again", wants=(missing, [*missing, *uncommitted]), by=by, trains=missing, then=None)
    for run in missing:
        result = next(checkout.folder(run).glob("*/result.json")).read_text()
        assert f'"resumes": {int(run in interrupted)}' in result


@pytest.mark.parametrize(
    ("by", "number"),
    [
        ("snakemake", signal.SIGINT),
        pytest.param("snakemake", signal.SIGTERM, marks=pytest.mark.slow),
        ("dvc repro", signal.SIGINT),
        pytest.param("dvc repro", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_group_ends_all_of_it(checkout: Checkout, by: str, number: signal.Signals) -> None:
    running = 2 if by == "snakemake" else 1
    with checkout.start(*COMMANDS[by]) as process:
        wait_until(lambda: at_work(checkout, running))
        os.killpg(process.pid, number)
        stopped = time.monotonic()
        wait_until(lambda: not trainers(checkout))
        assert time.monotonic() - stopped < PROMPT_S
        _, code, text = end_of(process)
    assert code in (ENDS[by], -number), text
    assert "Traceback" not in text
    assert len(saved(checkout)) == running
    missing = [ONE, BASELINE]
    assert checkout.trained() == []
    goes_on(checkout, by, missing)


@pytest.mark.slow
def test_real_trainers_save_and_go_on(checkout: Checkout) -> None:
    """No stub: a long training, interrupted twice, is further each time."""
    checkout.edit("papers/small.yaml", "epochs: 2", "epochs: 2000")
    checkout.okd("plan", "small-t1/resnet/one", "--save")
    checkout.stub = {"STUB_TRAINER": "real"}
    index = checkout.root / "scratch" / ONE / checkout.index()[ONE]["key"] / "resume.json"
    progress, steps = index.with_name("progress.json"), [0]
    for number in (signal.SIGINT, signal.SIGTERM):
        progress.unlink(missing_ok=True)
        with checkout.start(*COMMANDS["snakemake"]) as process:
            wait_until(progress.exists)
            os.killpg(process.pid, number)
            stopped = time.monotonic()
            wait_until(lambda: not trainers(checkout))
            assert time.monotonic() - stopped < PROMPT_S
            _, code, text = end_of(process)
        assert code in (1, -number), text
        steps.append(json.loads(index.read_text())["newest_first"][0]["step"])
    assert steps == sorted(set(steps)), "each further than the one before"


@pytest.mark.slow
def test_sigterm_to_snakemake_alone_drains(checkout: Checkout) -> None:
    checkout.delete(TEACHER)
    with checkout.start(*COMMANDS["snakemake"]) as process:
        wait_until(lambda: at_work(checkout, 2))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert len(trainers(checkout)) == 2, "they go on"
        (checkout.root / "end").touch()
        _, code, text = end_of(process)
    assert code == 1, text
    done = checkout.trained()
    assert len(done) == 2, "what ran was finished, nothing else was started"
    (missing,) = {ONE, BASELINE, TEACHER} - set(done)
    taught = [STUDENT] if missing == TEACHER else []  # `dvc status` names it, nobody trains it
    goes_on(checkout, "snakemake", [missing], uncommitted=[*done, *taught])


def test_snakemake_killed(checkout: Checkout) -> None:
    with checkout.start(*COMMANDS["snakemake"]) as process:
        wait_until(lambda: at_work(checkout, 2))
        process.kill()
        killed = time.monotonic()
        wait_until(lambda: not trainers(checkout))
        assert time.monotonic() - killed < PROMPT_S, "they notice that their engine is gone"
        end_of(process)
    assert saved(checkout) == sorted([ONE, BASELINE])
    assert "--unlock" in checkout.snakemake(code=1).text
    assert "Snakemake was killed here and its folder is locked; type: snakemake --unlock" in checkout.okd("doctor", code=1).out
    checkout.snakemake("--unlock")
    goes_on(checkout, "snakemake", [ONE, BASELINE])


@pytest.mark.slow
def test_dvc_killed(checkout: Checkout) -> None:
    with checkout.start(*COMMANDS["dvc repro"]) as process:
        wait_until(lambda: at_work(checkout, 1))
        process.kill()
        killed = time.monotonic()
        wait_until(lambda: not trainers(checkout))
        assert time.monotonic() - killed < PROMPT_S
        end_of(process)
    assert len(saved(checkout)) == 1
    goes_on(checkout, "dvc repro", [ONE, BASELINE])


@pytest.mark.slow
@pytest.mark.parametrize("by", ["snakemake", "dvc repro"])
def test_everything_killed_at_once(checkout: Checkout, by: str) -> None:
    with checkout.start(*COMMANDS[by]) as process:
        wait_until(lambda: at_work(checkout, 1))
        kill_group(process)
        end_of(process)
    wait_until(lambda: not trainers(checkout))
    assert any((checkout.root / "scratch").glob("*/*/lock")), "the dead still hold their locks"
    assert "dead trainer; the next one takes it over; type: okd gc" in checkout.okd("doctor", code=1).out
    if by == "snakemake":
        checkout.snakemake("--unlock")
    goes_on(checkout, by, [ONE, BASELINE])


@pytest.mark.slow
def test_a_second_snakemake_is_told_that_the_first_is_at_work(checkout: Checkout) -> None:
    with checkout.start(*COMMANDS["snakemake"]) as first:
        wait_until(lambda: at_work(checkout, 2))
        for arguments in ((), ("--rerun-incomplete",)):
            assert "locked" in checkout.snakemake(*arguments, code=1).text
        assert f"Snakemake is at work here (process {first.pid})" in checkout.okd("doctor").out
        (checkout.root / "end").touch()
        _, code, text = end_of(first)
    assert code == 0, text
    assert sorted(checkout.trained()) == sorted([ONE, BASELINE])


@pytest.mark.slow
def test_a_second_dvc_is_told_that_the_first_is_at_work(checkout: Checkout) -> None:
    with checkout.start(*COMMANDS["dvc repro"]) as first:
        wait_until(lambda: at_work(checkout, 1))
        assert f"dvc is at work here (process {first.pid})" in checkout.okd("doctor").out
        for command in ("repro", "commit", "status"):
            said = checkout.dvc(command, code=None)
            assert said.code != 0
            assert "is busy, it is being blocked by" in said.err
            assert f"(PID {first.pid})" in said.err
        (checkout.root / "end").touch()
        _, code, text = end_of(first)
    assert code == 0, text
    assert sorted(checkout.trained()) == sorted([ONE, BASELINE])


@pytest.mark.slow
def test_clocks_that_are_wrong_cost_no_result(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Snakemake deletes a fresh result whose inputs are dated after it."""
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    root = checkout.root
    agreement = Agreement(checkout)
    for hours in (1, -1):
        checkout.delete(ONE)
        then = time.time() + 3600 * hours
        inputs = [*root.glob("plan/**/*.json"), *root.glob("papers/*"), *root.glob("data/*"), *root.glob("data/digits/*")]
        for file in [*inputs, *root.glob("results/paper/*/*/*"), root / "params.yaml"]:
            os.utime(file, (then, then))
        agreement.step(f"inputs {hours} h from now", wants=([ONE], [ONE]), by="snakemake", trains=[ONE], then=((), [ONE]))
    checkout.okd("record")
    agreement.step("then the other engine", wants=NOTHING, by="dvc repro")
