"""A device for a trainer, taken before torch is imported. No torch here.

Snakemake counts GPUs but gives out none. Each device has a few slots, each slot a file lock that the kernel frees when its owner ends.
"""

import fcntl
import os
import random
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


class Lease:
    """One slot of one device, held as long as the process lives. Without a device there is nothing to hold."""

    def __init__(self, folder: Path, devices: list[str], slots: int) -> None:
        self.folder, self.devices, self.slots = folder, devices, slots
        self.device: str | None = None
        self._handle: IO[str] | None = None

    def acquire(self, stop: Stop) -> str | None:
        """Wait for a free slot, every device's first one before any second one; set CUDA_VISIBLE_DEVICES. Raises Stopped."""
        if not self.devices:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        while self.device is None:
            stop.check()
            self.device = self._try()
            if self.device is None:
                time.sleep(0.5)
        os.environ["CUDA_VISIBLE_DEVICES"] = self.device
        return self.device

    def _try(self) -> str | None:
        for slot in range(self.slots):
            for device in self.devices:
                if handle := _locked(self.folder, device, slot):
                    self._handle = handle
                    return device
        return None

    def release(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = self.device = None


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
        self.folder.mkdir(parents=True, exist_ok=True)
        while not self._try():
            stop.check()
            time.sleep(0.5 + random.random())
        os.environ["OKD_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self._handles)

    def _try(self) -> bool:
        for device in self.devices:
            handles = [handle for slot in range(self.slots) if (handle := _locked(self.folder, device, slot))]
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


def _locked(folder: Path, device: str, slot: int) -> IO[str] | None:
    handle = (folder / f"gpu{device}.slot{slot}.lock".replace("/", "_")).open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle
