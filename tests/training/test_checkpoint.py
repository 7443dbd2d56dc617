"""Resume files: a damaged one is never loaded, the one before is; and the lock that keeps a run to one trainer."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from okd.training import checkpoint
from okd.training.lock import RunLock
from okd.training.stop import Stop, Stopped


def state(value: float) -> dict:
    return {"group": {"weight": torch.full((500,), value)}, "step": int(value)}


def loaded(folder: Path) -> int:
    found = checkpoint.load(folder, key="k")
    assert found is not None
    return found["step"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, state(step), step=step, key="k")
    return tmp_path


def test_two_are_kept_and_the_newest_is_loaded(folder: Path) -> None:
    assert sorted(file.name for file in folder.glob("*.pt")) == ["resume-2.pt", "resume-3.pt"]
    assert loaded(folder) == 3


def test_no_damage_is_ever_loaded(folder: Path) -> None:
    """60 cuts and flipped bits: each time the one before is used, and the bad one set aside."""
    dice = random.Random(0)
    good = (folder / "resume-3.pt").read_bytes()
    index = (folder / checkpoint.INDEX).read_bytes()
    for trial in range(60):
        bad = bytearray(good)
        if trial % 3 == 0:
            bad = bad[: dice.randrange(len(bad))]
        else:
            bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        (folder / "resume-3.pt").write_bytes(bytes(bad))
        (folder / checkpoint.INDEX).write_bytes(index)
        assert loaded(folder) == 2
        assert (folder / "resume-3.corrupt").exists()


def test_two_bad_ones_stop_the_run(folder: Path) -> None:
    for file in folder.glob("*.pt"):
        file.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"no checkpoint .* can be trusted"):
        checkpoint.load(folder, key="k")


def test_another_spec_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="belongs to another spec"):
        checkpoint.load(folder, key="other")


def test_a_torn_write_leaves_the_old_state(folder: Path) -> None:
    (folder / ".resume-4.pt.99.tmp").write_bytes(b"half")
    assert loaded(folder) == 3
    assert not list(folder.glob("*.tmp"))


def test_a_state_that_is_not_finite_is_not_saved(folder: Path) -> None:
    with pytest.raises(checkpoint.NotFinite, match="weight"):
        checkpoint.save(folder, {"group": {"weight": torch.tensor([1.0, float("inf")])}}, step=4, key="k")
    assert loaded(folder) == 3


def test_an_exploit_is_refused(folder: Path) -> None:
    marker = folder / "marker"
    payload = b"cposix\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    (folder / "resume-3.pt").write_bytes(payload)
    assert loaded(folder) == 2
    assert not marker.exists()


@pytest.fixture
def stop() -> Stop:
    return Stop()


def test_a_second_trainer_is_told_who_has_the_run(tmp_path: Path, stop: Stop) -> None:
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    first.acquire(stop)
    with pytest.raises(Stopped, match=r"another trainer has this run \(process \d+ on "):
        second.acquire(stop, wait=False)
    first.release()
    second.acquire(stop, wait=False)
    second.release()
    assert not list(tmp_path.iterdir())


def test_a_dead_owner_is_replaced(tmp_path: Path, stop: Stop) -> None:
    program = (
        "import sys, os; from pathlib import Path; from okd.training.lock import RunLock; from okd.training.stop import Stop\n"
        "RunLock(Path(sys.argv[1])).acquire(Stop()); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert (tmp_path / "lock").is_dir()
    lock = RunLock(tmp_path)
    lock.acquire(stop)
    assert lock.owned()
    lock.release()


def test_an_owner_that_slept_is_fenced(tmp_path: Path, stop: Stop) -> None:
    sleeper, other = RunLock(tmp_path, heartbeat_s=60, stale_s=0.2), RunLock(tmp_path, stale_s=0.2)
    sleeper.acquire(stop)
    time.sleep(0.3)
    other.acquire(stop)
    with pytest.raises(Stopped, match="taken over"):
        sleeper.check()
    sleeper.release()
    assert other.owned(), "a fenced owner takes nobody's lock away"
    other.release()


def test_many_at_once_give_one_owner(tmp_path: Path, stop: Stop) -> None:
    locks, owners = [RunLock(tmp_path) for _ in range(8)], []

    def grab(lock: RunLock) -> None:
        try:
            lock.acquire(stop, wait=False)
            owners.append(lock)
        except Stopped:
            pass

    threads = [threading.Thread(target=grab, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(owners) == 1
    owners[0].release()
