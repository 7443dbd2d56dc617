"""A device for a trainer, taken before torch is imported. No torch here.

Snakemake counts GPUs but gives out none. Each device has a few slots, each slot a file lock that the kernel frees when its owner ends.
"""

import fcntl
import os
import random
import socket
import time
from pathlib import Path
from typing import IO

from okd.training.stop import Stop


def visible_devices() -> list[str]:
    """GPUs that a trainer on this machine may use, by CUDA's names; none under a scheduler that gave none."""
    if (given := os.environ.get("OKD_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))) is not None:
        return [name for name in given.split(",") if name and name != "-1"]
    try:
        return [str(index) for index, _ in enumerate(sorted(Path("/proc/driver/nvidia/gpus").iterdir()))]
    except OSError:
        return []


def lease_folder(scratch: Path) -> Path:
    """Of this machine: others may share the checkout. In a scheduler's job of this job, since each numbers its own devices from 0."""
    job = os.environ.get("SLURM_JOB_ID")
    return scratch / "devices" / (f"{socket.gethostname()}.{job}" if job else socket.gethostname())


class Lease:
    """Some slots of one device, held as long as the process lives. Without a device there is nothing to hold."""

    def __init__(self, folder: Path, devices: list[str], slots: int, *, takes: int = 1) -> None:
        self.folder, self.devices, self.slots = folder, devices, slots
        self.takes = min(takes, slots)  # 1, or all of them
        self.device: str | None = None
        self._handles: list[IO[str]] = []
        self._kept: tuple[str, IO[str]] | None = None  # a device and its door

    def acquire(self, stop: Stop) -> str | None:
        """Wait for free slots, every device's first one before any second one; set CUDA_VISIBLE_DEVICES. Raises Stopped."""
        if not self.devices:
            return None
        try:
            while self.device is None:
                stop.check()
                self.device = self._try()
                if self.device is None:
                    time.sleep(0.5)
        except BaseException:
            self.release()
            raise
        os.environ["CUDA_VISIBLE_DEVICES"] = self.device
        return self.device

    def _try(self) -> str | None:
        return self._try_whole() if self.takes > 1 else self._try_slot()

    def _try_slot(self) -> str | None:
        for slot in range(self.slots):
            for device in self.devices:
                # Whoever waits for all of a device holds its door: nobody new comes in.
                if (door := _locked(self.folder, device, "door", fcntl.LOCK_SH)) is None:
                    continue
                with door:
                    if handle := _locked(self.folder, device, f"slot{slot}"):
                        self._handles.append(handle)
                        return device
        return None

    def _try_whole(self) -> str | None:
        """Take all slots of a free device; where none is free, keep the door of one, whose trainers then leave one by one."""
        free = ((device, _locked(self.folder, device, "door")) for device in ([] if self._kept else self.devices))
        doors = [self._kept] if self._kept else [(device, door) for device, door in free if door]
        taken = next(((device, door) for device, door in doors if self._take_all(device)), None)
        keeps = taken or next(iter(doors), None)
        for device, door in doors:
            if (device, door) != keeps:
                door.close()
        self._kept = keeps
        return taken[0] if taken else None

    def _take_all(self, device: str) -> bool:
        handles = [handle for slot in range(self.slots) if (handle := _locked(self.folder, device, f"slot{slot}"))]
        if len(handles) < self.slots:
            for handle in handles:
                handle.close()
            return False
        self._handles = handles
        return True

    def release(self) -> None:
        for handle in [*self._handles, *(self._kept or ())[1:]]:
            handle.close()
        self._handles, self._kept, self.device = [], None, None


class WholeDevices:
    """As many devices as a large run has processes, each with all its slots: all of them at once or none, so that no two runs wait for
    each other."""

    def __init__(self, folder: Path, devices: list[str], slots: int, count: int) -> None:
        if devices and count > len(devices):
            raise ValueError(f"{count} processes need {count} GPUs; here are {len(devices)}")
        self.folder, self.devices, self.slots, self.count = folder, devices, slots, count
        self._handles: dict[str, list[IO[str]]] = {}

    def acquire(self, stop: Stop) -> None:
        """Wait until enough devices are free; set CUDA_VISIBLE_DEVICES. Raises Stopped."""
        if not self.devices:
            return
        while not self._try():
            stop.check()
            time.sleep(0.5 + random.random())
        os.environ["OKD_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self._handles)

    def _try(self) -> bool:
        for device in self.devices:
            handles = [handle for slot in range(self.slots) if (handle := _locked(self.folder, device, f"slot{slot}"))]
            if len(handles) == self.slots and len(self._handles) < self.count:
                self._handles[device] = handles
            else:
                for handle in handles:
                    handle.close()
        if len(self._handles) < self.count:
            self.release()
        return bool(self._handles)

    def release(self) -> None:
        for handle in (handle for handles in self._handles.values() for handle in handles):
            handle.close()
        self._handles = {}


def _locked(folder: Path, device: str, what: str, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / f"gpu{device}.{what}.lock".replace("/", "_")).open("w")
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle
