"""One trainer per run: a lock folder with its owner's name and a heartbeat. No torch here.

`flock` gives no exclusion at all on some network file systems, so a folder is made instead, which every file system does atomically.
"""

import os
import shutil
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from okd.plan.store import read_json, write_json
from okd.training.stop import Stop, Stopped

HEARTBEAT_S = 30.0
STALE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Owner:
    host: str
    boot: str
    pid: int
    started: float  # the process's start, in clock ticks since boot: a pid alone may be another process by now
    token: str

    @staticmethod
    def me() -> "Owner":
        pid = os.getpid()
        return Owner(host=socket.gethostname(), boot=_boot_id(), pid=pid, started=_start_of(pid) or 0.0, token=uuid.uuid4().hex)

    def dead(self) -> bool:
        """Certainly dead: same machine, but another boot, no such process, or another process by the same number."""
        if self.host != socket.gethostname():
            return False
        return self.boot != _boot_id() or _start_of(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class RunLock:
    """Holds `scratch/<id>/<key>/lock`; `owned` says whether it is still ours."""

    def __init__(self, scratch: Path, *, heartbeat_s: float = HEARTBEAT_S, stale_s: float = STALE_S) -> None:
        self.folder, self.file = scratch / "lock", scratch / "lock" / "owner.json"
        self.heartbeat_s, self.stale_s = heartbeat_s, stale_s
        self.owner = Owner.me()
        self._over = threading.Event()

    def acquire(self, stop: Stop, *, wait: bool = True, say: Any = print) -> None:
        """Take the lock, or wait for its owner. Raises Stopped where it may not wait, or was asked to stop."""
        told = False
        while not self._try():
            stop.check()
            owner = self._read()
            if not wait:
                raise Stopped(f"another trainer has this run ({owner or 'unknown'})")
            if not told:
                say(f"waiting for another trainer of this run ({owner or 'unknown'})")
                told = True
            time.sleep(0.5)
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        self._over.set()
        if self.owned():
            shutil.rmtree(self.folder, ignore_errors=True)

    def owned(self) -> bool:
        owner = self._read()
        return owner is not None and owner.token == self.owner.token

    def check(self) -> None:
        """Raise Stopped if the lock was taken over, as from an owner that slept too long: such an owner may write nothing more."""
        if not self.owned():
            raise Stopped(f"this run was taken over by {self._read() or 'another trainer'} while this one slept")

    def _try(self) -> bool:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self._take():
            return True
        stale = self._read()
        return self._stale() and self._bury(stale) and self._take()

    def _bury(self, stale: Owner | None) -> bool:
        """Move a dead owner's lock away. Between the look at it and the move another may have come in: its lock is put back."""
        grave = self.folder.with_name(f"lock.{self.owner.token}.stale")
        with suppress(OSError):  # somebody else was faster
            self.folder.rename(grave)
            if self._read(grave / "owner.json") == stale:
                shutil.rmtree(grave, ignore_errors=True)
                return True
            grave.rename(self.folder)
        shutil.rmtree(grave, ignore_errors=True)
        return False

    def _take(self) -> bool:
        # The folder appears with its owner inside, or not at all.
        mine = self.folder.with_name(f"lock.{self.owner.token}")
        mine.mkdir(exist_ok=True)
        write_json(mine / "owner.json", asdict(self.owner))
        try:
            mine.rename(self.folder)
        except OSError:
            shutil.rmtree(mine, ignore_errors=True)
            return False
        return True

    def _stale(self) -> bool:
        owner = self._read()
        if owner is not None and owner.dead():
            return True
        try:
            return time.time() - self.file.stat().st_mtime > self.stale_s
        except OSError:
            return False

    def _read(self, file: Path | None = None) -> Owner | None:
        record = read_json(file or self.file)
        try:
            return Owner(**record) if record else None
        except TypeError:
            return None

    def _beat(self) -> None:
        while not self._over.wait(self.heartbeat_s):
            if not self.owned():
                return
            try:
                os.utime(self.file)
            except OSError:
                return


def trainers_folders(root: Path) -> list[Path]:
    """Where trainers of this project keep locks and resume files: a folder for each run, and one in it for each of its nodes."""
    return sorted(folder for pattern in ("*/*", "*/*/node-*") for folder in (root / "scratch").glob(pattern))


def holder(scratch: Path) -> Owner | None:
    """The trainer that has this run now, or the first of its nodes; None where nobody has it, or only one that is dead."""
    locks = [RunLock(folder) for folder in (scratch, *sorted(scratch.glob("node-*")))]
    return next((owner for lock in locks if not lock._stale() and (owner := lock._read())), None)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_of(pid: int) -> float | None:
    """Start time of a process from /proc; None where there is no such process, or only what a dead one leaves until it is reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else float(fields[19])
