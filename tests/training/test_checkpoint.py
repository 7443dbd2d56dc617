"""Resume files: a damaged one is never loaded, the one before is; and the lock that keeps a run to one trainer."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from okd.training import checkpoint
from okd.training.entries import resume_files
from okd.training.lock import RunLock, holder
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
    assert [file.name.split("-")[1] for file in resume_files(folder)] == ["3", "2"]
    assert loaded(folder) == 3


def test_one_that_was_set_aside_costs_no_other_its_place(folder: Path) -> None:
    newest = resume_files(folder)[0]
    newest.write_bytes(b"rubbish")
    assert loaded(folder) == 2
    checkpoint.save(folder, state(4), step=4, key="k")
    assert [file.name.split("-")[1] for file in resume_files(folder)] == ["4", "2"]
    resume_files(folder)[0].write_bytes(b"rubbish")
    assert loaded(folder) == 2


def test_two_bad_ones_stop_the_run(folder: Path) -> None:
    for file in folder.glob("*.pt"):
        file.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"no checkpoint .* can be trusted"):
        checkpoint.load(folder, key="k")


def test_another_spec_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="belongs to another spec"):
        checkpoint.load(folder, key="other")


def test_a_torn_write_leaves_the_old_state(folder: Path) -> None:
    (folder / ".resume-4-0123456789abcdef.pt.99.tmp").write_bytes(b"half")
    assert loaded(folder) == 3
    assert not list(folder.glob("*.tmp"))


def test_a_state_that_is_not_finite_is_not_saved(folder: Path) -> None:
    with pytest.raises(checkpoint.NotFinite, match="weight"):
        checkpoint.save(folder, {"group": {"weight": torch.tensor([1.0, float("inf")])}}, step=4, key="k")
    assert loaded(folder) == 3


def test_a_large_tensor_lies_beside_and_is_written_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "STORE_BYTES", 3000)
    rows = torch.arange(1000, dtype=torch.bfloat16).view(20, 50)
    memory = {"rows": rows.float(), "again": rows.float(), "small": torch.ones(3), "number": 7}
    times, stores = set[int](), list[Path]()
    for step in (4, 5):
        checkpoint.save(folder, {"group": {}, "teacher": memory, "step": step}, step=step, key="k")
        stores = list(folder.glob("store-*.bin"))
        assert len(stores) == 1
        times.add(stores[0].stat().st_mtime_ns)
    assert len(times) == 1
    assert max(file.stat().st_size for file in resume_files(folder)) < 3000
    found = checkpoint.load(folder, key="k")
    assert found is not None
    assert checkpoint.digest(found["teacher"]) == checkpoint.digest(memory)
    stores[0].write_bytes(stores[0].read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="no checkpoint"):
        checkpoint.load(folder, key="k")
    for step in (6, 7):
        checkpoint.save(folder, {"group": {}}, step=step, key="k")
    assert not list(folder.glob("store-*.bin")), "nothing names it any more"


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
        "import sys, os; from pathlib import Path; from okd.training.lock import RunLock, holder; from okd.training.stop import Stop\n"
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


def test_a_lock_that_was_taken_while_another_looked_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two wait for a dead owner's lock, and both see that it is dead; the slower one must not bury the faster one's."""
    dead, fast, slow = (RunLock(tmp_path) for _ in range(3))
    dead.owner = replace(dead.owner, started=-1.0)
    assert dead._try()
    seen = slow._stale()
    assert seen
    stale = slow._read()
    assert fast._try()
    assert not slow._bury(stale)
    assert fast.owned()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_a_node_has_the_run_too(tmp_path: Path) -> None:
    node = RunLock(tmp_path / "node-1")
    assert holder(tmp_path) is None
    node.acquire(Stop())
    assert holder(tmp_path) == node.owner
    node.release()
    assert holder(tmp_path) is None
