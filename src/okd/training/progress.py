"""How far a run is: a small file for `okd status`, and for people a bar or a line per tenth. No torch here."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from okd.plan.store import write_json
from okd.training.disk import writing

EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    id: str
    epoch: int  # finished epochs
    epochs: int
    fraction: float  # of all steps
    left_s: float | None
    error: float | None  # percent, of the deployed student after the last finished epoch
    updated: float


class Progress:
    """Says little, and never more than every two seconds."""

    def __init__(
        self, run_id: str, epochs: int, file: Path, *, done_before: float = 0.0, may_write: Callable[[], None] = lambda: None
    ) -> None:
        self.run_id, self.epochs, self.file, self.may_write = run_id, epochs, file, may_write
        self.started, self.start_fraction = time.monotonic(), done_before
        self.told, self.tenth = 0.0, int(done_before * 10)
        self.error: float | None = None
        self.terminal = sys.stderr.isatty()

    def step(self, fraction: float, epoch: int) -> None:
        now = time.monotonic()
        if now - self.told < EVERY_S and fraction < 1:
            return
        self.told = now
        done = fraction - self.start_fraction
        left = (now - self.started) / done * (1 - fraction) if done > 0 else None
        snapshot = Snapshot(
            id=self.run_id, epoch=epoch, epochs=self.epochs, fraction=fraction, left_s=left, error=self.error, updated=time.time()
        )
        self.may_write()
        with writing(self.file, 1000):
            write_json(self.file, asdict(snapshot))
        self._say(snapshot)

    def _say(self, snapshot: Snapshot) -> None:
        if self.terminal:
            print(f"\r{sentence(snapshot)}\x1b[K", end="\n" if snapshot.fraction >= 1 else "", file=sys.stderr, flush=True)
        elif int(snapshot.fraction * 10) > self.tenth:
            self.tenth = int(snapshot.fraction * 10)
            print(sentence(snapshot), file=sys.stderr, flush=True)


def sentence(snapshot: Snapshot) -> str:
    left = "" if snapshot.left_s is None else f", {duration(snapshot.left_s)} left"
    error = "" if snapshot.error is None else f", error {snapshot.error:.2f} %"
    return f"{snapshot.id}: {snapshot.fraction:4.0%}, epoch {snapshot.epoch} of {snapshot.epochs}{error}{left}"


def duration(seconds: float) -> str:
    """1:05 or 2:03:05."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
