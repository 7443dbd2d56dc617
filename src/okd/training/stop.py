"""Stopping: signals and a dead parent set a flag; the trainer saves at the next step boundary and exits 75. No torch here."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stopped(Exception):
    """The run was asked to stop and can be resumed by the same command: exit code 75."""


class Stop:
    """Installed before torch is imported, so that not even a signal during start-up is lost."""

    def __init__(self) -> None:
        self.reason: str | None = None
        parent = os.environ.get("OKD_PARENT", "")
        self.parent = int(parent) if parent.isdigit() else None
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.reason = self.reason or signal.Signals(number).name

    @property
    def wanted(self) -> bool:
        if self.reason is None and self.parent is not None and os.getppid() != self.parent:
            self.reason = f"the process that started it ({self.parent}) is gone"
        return self.reason is not None

    def check(self) -> None:
        """Raise Stopped if the run should end: for places where there is nothing to save."""
        if self.wanted:
            raise Stopped(f"stopped ({self.reason})")
