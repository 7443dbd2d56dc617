"""Device slots, with devices that do not exist: never more trainers than slots, a large one alone, a dead one frees its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from okd.cli.train import lease_of
from okd.plan.run import Named
from okd.plan.settings import Devices
from okd.training.lease import Lease, lease_folder, visible_devices
from okd.training.stop import Stop, Stopped

EIGHT = [str(index) for index in range(8)]


@pytest.fixture(autouse=True)
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Callable[..., Lease]]:
    made: list[Lease] = []

    def make(devices: list[str], slots: int, *, takes: int = 1) -> Lease:
        made.append(Lease(tmp_path, devices, slots, takes=takes))
        return made[-1]

    yield make
    for one in made:
        one.release()


def test_devices_are_filled_before_any_is_doubled(lease: Callable[..., Lease]) -> None:
    leases = [lease(["0", "1"], 2) for _ in range(4)]
    assert [one.acquire(Stop()) for one in leases] == ["0", "1", "0", "1"]
    assert lease(["0", "1"], 2)._try() is None
    leases[1].release()
    assert lease(["0", "1"], 2).acquire(Stop()) == "1"


def test_a_large_training_has_a_device_to_itself(lease: Callable[..., Lease]) -> None:
    large = lease(["0", "1"], 3, takes=3)
    assert large.acquire(Stop()) == "0"
    assert [lease(["0", "1"], 3)._try() for _ in range(4)] == ["1", "1", "1", None]
    large.release()
    assert lease(["0", "1"], 3)._try() == "0"


def test_a_large_training_that_waits_lets_nobody_else_in(lease: Callable[..., Lease]) -> None:
    small = [lease(["0", "1"], 2) for _ in range(2)]
    assert [one.acquire(Stop()) for one in small] == ["0", "1"]
    large = lease(["0", "1"], 2, takes=2)
    assert large._try() is None
    assert [lease(["0", "1"], 2)._try() for _ in range(2)] == ["1", None], "device 0 is kept for it"
    small[0].release()
    assert large._try() == "0"


@pytest.mark.parametrize(("dataset", "takes"), [("imagenet", 3), ("cifar100", 1), ("digits", 1)])
def test_images_of_imagenets_size_make_a_training_large(tmp_path: Path, dataset: str, takes: int) -> None:
    run: Any = SimpleNamespace(dataset=Named(name=dataset, revision=1))
    assert lease_of(tmp_path, run, Devices(slots=3), []).takes == takes


def test_two_large_trainings_wait_for_different_devices(lease: Callable[..., Lease]) -> None:
    small = [lease(["0", "1"], 2) for _ in range(2)]
    assert [one.acquire(Stop()) for one in small] == ["0", "1"]
    first, second = (lease(["0", "1"], 2, takes=2) for _ in range(2))
    assert (first._try(), second._try()) == (None, None)
    for one in small:
        one.release()
    assert {first._try(), second._try()} == {"0", "1"}


def test_a_large_training_that_is_stopped_while_it_waits_gives_way(lease: Callable[..., Lease]) -> None:
    assert lease(["0"], 2).acquire(Stop()) == "0"
    stop, large = Stop(), lease(["0"], 2, takes=2)
    assert large._try() is None
    stop.reason = "SIGTERM"
    with pytest.raises(Stopped):
        large.acquire(stop)
    assert lease(["0"], 2)._try() == "0"


def test_a_killed_trainer_frees_its_slot(tmp_path: Path, lease: Callable[..., Lease]) -> None:
    program = (
        "import sys, os; from pathlib import Path; from okd.training.lease import Lease; from okd.training.stop import Stop\n"
        "lease = Lease(Path(sys.argv[1]), ['0'], 2, takes=2); lease.acquire(Stop()); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    assert lease(["0"], 2, takes=2).acquire(Stop()) == "0"


CROWD = """
import json, os, random, sys, time
from pathlib import Path
from okd.training.lease import Lease
from okd.training.stop import Stop

folder, number = Path(sys.argv[1]), int(sys.argv[2])
for child in range(number):
    if os.fork() == 0:
        takes = 2 if child % 6 == 0 else 1
        lease = Lease(folder, [str(index) for index in range(8)], 2, takes=takes)
        device = lease.acquire(Stop())
        started = time.monotonic()
        time.sleep(0.2)
        (folder / f"{child}.json").write_text(json.dumps([device, takes, started, time.monotonic()]))
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def test_a_crowd_on_eight_devices_never_has_more_than_their_slots(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CROWD, str(tmp_path), "48"], check=True, timeout=120)
    held = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
    assert len(held) == 48
    busiest = 0
    for _, _, now, _ in held:
        taken = dict.fromkeys(EIGHT, 0)
        for device, takes, start, end in held:
            taken[device] += takes * (start <= now < end)
        assert max(taken.values()) <= 2, taken
        busiest = max(busiest, sum(taken.values()))
    assert busiest > 8, "or this shows nothing: devices were shared"


def test_without_a_device_there_is_nothing_to_hold(tmp_path: Path) -> None:
    assert Lease(tmp_path, [], slots=2).acquire(Stop()) is None


def test_a_schedulers_choice_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert visible_devices() == ["2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []


def test_jobs_of_a_cluster_do_not_wait_for_each_others_device_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        folders.add(lease_folder(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID")
    assert len(folders | {lease_folder(tmp_path)}) == 3
