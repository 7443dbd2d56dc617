"""Device slots, with devices that do not exist: never more trainers than slots, a dead one frees its own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from okd.training.lease import Lease, visible_devices
from okd.training.stop import Stop


@pytest.fixture(autouse=True)
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Callable[..., Lease]]:
    made: list[Lease] = []

    def make(devices: list[str], slots: int) -> Lease:
        made.append(Lease(tmp_path, devices, slots))
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


def test_a_killed_trainer_frees_its_slot(tmp_path: Path, lease: Callable[..., Lease]) -> None:
    program = (
        "import sys, os; from pathlib import Path; from okd.training.lease import Lease; from okd.training.stop import Stop\n"
        "lease = Lease(Path(sys.argv[1]), ['0'], 1); lease.acquire(Stop()); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    assert lease(["0"], 1).acquire(Stop()) == "0"


def test_without_a_device_there_is_nothing_to_hold(tmp_path: Path) -> None:
    assert Lease(tmp_path, [], slots=2).acquire(Stop()) is None


def test_a_schedulers_choice_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert visible_devices() == ["2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []
