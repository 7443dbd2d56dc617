"""Eight GPUs in one machine, which do not exist: `snakemake --cores 64` starts as many trainers as they have slots."""

import os
import signal
import time
from pathlib import Path

import pytest
from project import wait_until
from small import BASELINE, RUNS, make_checkout
from test_stopping import trainers

DEVICES, SLOTS = 8, 2


@pytest.mark.slow
def test_never_more_trainers_than_slots_and_a_killed_one_frees_its_own(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    checkout.edit("papers/small.yaml", "seeds: 1", "seeds: 4")
    checkout.okd("plan")
    checkout.stub = {"OKD_DEVICES": ",".join(map(str, range(DEVICES))), "STUB_UNTIL": str(checkout.root / "end"), "STUB_STEP_S": "0.2"}
    with checkout.start("snakemake", "--cores", "64") as process:
        progress = checkout.root / "scratch"
        wait_until(lambda: len(list(progress.glob("*/*/progress.json"))) == DEVICES * SLOTS)
        time.sleep(2)
        assert len(trainers(checkout)) == DEVICES * SLOTS, "64 cores would take 20: the other four runs wait for a teacher"
        os.kill(trainers(checkout)[0], signal.SIGKILL)
        wait_until(lambda: len(trainers(checkout)) == DEVICES * SLOTS - 1)
        wait_until(lambda: len(trainers(checkout)) == DEVICES * SLOTS)
        (checkout.root / "end").touch()
        most = 0
        while process.poll() is None:
            most = max(most, len(trainers(checkout)))
            time.sleep(0.2)
    assert process.returncode == 0
    assert most <= DEVICES * SLOTS
    assert len(checkout.trained()) == 4 * RUNS
    assert checkout.folder(BASELINE).exists()
