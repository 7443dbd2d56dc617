"""Nodes that meet in a folder which all of them see: MD's server, made of files.

    <run>/<key>/round-000/student-0.npy, .json   what a student says, written once
    <run>/<key>/round-000/mixture.npy, .json     what all get back: whoever finds the round complete makes it, the first one counts
    <run>/<key>/part-1.safetensors               a node's share of the result
    <run>/<key>/alive-1                          its heartbeat

A file appears whole or not at all; a second one under the same name must be the same to the byte.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from okd.data.arrays import DataError
from okd.plan.run import Run
from okd.plan.store import read_json, write_json
from okd.training.distributed.meeting import Diverged, Mix, Traffic, limit_s
from okd.training.distributed.place import Place
from okd.training.distributed.softlabels import Manifest, SoftLabels, Wanted, to_npy
from okd.training.stop import Stop, Stopped

SILENT_S = 1800.0  # without a heartbeat, before a node counts as lost
BEAT_S, POLL_S = 30.0, 0.2


class Folder:
    """One node's access to it. `held` says which students each node has."""

    name = "files"

    def __init__(self, place: Place, run: Run, held: Sequence[range], stop: Stop) -> None:
        assert place.exchange is not None
        self.place, self.run, self.held, self.stop = place, run, held, stop
        self.folder = place.exchange / run.id / run.key
        self.folder.mkdir(parents=True, exist_ok=True)
        self.silent_s = limit_s(SILENT_S)
        self.traffic = Traffic(senders=len(held[place.rank]), receivers=1)
        self.beats: dict[int, tuple[str, float]] = {}
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        file, count = self._alive(self.place.rank), 0
        while True:
            count += 1
            with suppress(OSError):  # the next one may come through
                file.write_text(f"{os.getpid()} {count}\n")
            time.sleep(min(BEAT_S, self.silent_s / 6))

    def _alive(self, rank: int) -> Path:
        return self.folder / f"alive-{rank}"

    def lost(self) -> str | None:
        """Nodes need not run at the same time, but when one waits for another."""
        return None

    def begin(self, rounds: int, rows: Callable[[], np.ndarray]) -> None:
        """Every round is there for a node that comes late."""

    def diverged(self, step: int, term: str) -> None:
        if not self._divergence().exists():
            write_json(self._divergence(), {"step": step, "term": term, "node": self.place.rank})

    def _divergence(self) -> Path:
        return self.folder / "diverged.json"

    def meet(self, wanted: Wanted, said: Sequence[SoftLabels], mix: Mix) -> np.ndarray:
        """Leave what our students say, wait for all others', return the mixture. Raises DataError, Stopped, Diverged."""
        round_ = self.folder / f"round-{wanted.round:03}"
        round_.mkdir(exist_ok=True)
        for one in said:
            self.traffic.sent += self._leave(round_ / f"student-{one.manifest.student}.npy", one)
        mixture, students = round_ / "mixture.npy", sorted(student for held in self.held for student in held)
        files = [round_ / f"student-{student}.npy" for student in students]

        def ready() -> list[int]:
            for one in said:  # somebody may have taken away what was refused
                if not (file := round_ / f"student-{one.manifest.student}.npy").with_suffix(".json").exists():
                    self._leave(file, one)
            if (found := read_json(self._divergence())) is not None:
                raise Diverged(int(found["step"]), str(found["term"]))
            if mixture.with_suffix(".json").exists():
                return []
            return [student for student, file in zip(students, files, strict=True) if not file.with_suffix(".json").exists()]

        self._wait(ready, f"soft labels of round {wanted.round}", self._node_of)
        if not mixture.with_suffix(".json").exists():
            self.serve(wanted, mix)
        answer, size = self._read(mixture, wanted, None)
        sources = [self._manifest(file).sha256 for file in files]
        if answer.manifest.sources != sources:
            raise DataError(f"{mixture} was made of other soft labels than lie beside it")
        self.traffic.received += size
        self.traffic.rounds += 1
        return answer.rows

    def serve(self, wanted: Wanted, mix: Mix) -> None:
        """The server's step, a function of the round alone: anybody may do it, and do it again."""
        round_ = self.folder / f"round-{wanted.round:03}"
        students = sorted(student for held in self.held for student in held)
        read = [self._read(round_ / f"student-{student}.npy", wanted, student) for student in students]
        self.traffic.served += sum(size for _, size in read)
        said = [one for one, _ in read]
        mixture = SoftLabels.of(mix(said), wanted, student=None, sources=[one.manifest.sha256 for one in said])
        self._leave(round_ / "mixture.npy", mixture)

    def deliver(self, part: bytes) -> list[bytes] | None:
        """Leave our share of the result; the first node waits for all."""
        mine = self.folder / f"part-{self.place.rank}.safetensors"
        if not mine.exists():
            _appear(mine, part)
        if not self.place.first:
            return None
        files = [self.folder / f"part-{rank}.safetensors" for rank in range(self.place.count)]
        self._wait(lambda: [rank for rank, file in enumerate(files) if not file.exists()], "their results", lambda rank: rank)
        return [file.read_bytes() for file in files]

    def _wait(self, missing: Callable[[], list[int]], what: str, node_of: Callable[[int], int]) -> None:
        """Until nothing is missing. Raises Stopped where a node that we wait for has lost its heartbeat."""
        start = time.monotonic()
        while left := missing():
            self.stop.check()
            nodes = sorted({node_of(one) for one in left} - {self.place.rank})
            if silent := [node for node in nodes if self._silence(node, start) > self.silent_s]:
                raise Stopped(
                    f"{self.run.id}: waited for {what}; {' and '.join(f'node {node}' for node in silent)} of {self.place.count} "
                    f"gave no sign of life within {self.silent_s:g} s; the last checkpoint stands"
                )
            time.sleep(POLL_S if self.silent_s > 60 else POLL_S / 10)

    def _silence(self, node: int, start: float) -> float:
        """Seconds since its heartbeat last changed, by our clock: clocks of machines differ."""
        try:
            beat = self._alive(node).read_text()
        except OSError:
            return time.monotonic() - start
        known, since = self.beats.get(node, ("", start))
        if beat != known:
            self.beats[node] = (beat, since := time.monotonic())
        return time.monotonic() - max(since, start)

    def _node_of(self, student: int) -> int:
        return next(node for node, held in enumerate(self.held) if student in held)

    def _leave(self, file: Path, said: SoftLabels) -> int:
        """The array, then its manifest, which makes it count."""
        raw = to_npy(said.rows)
        return _appear(file, raw) + _appear(file.with_suffix(".json"), said.manifest.to_json())

    def _manifest(self, file: Path) -> Manifest:
        return Manifest.from_json(file.with_suffix(".json").read_bytes(), str(file.with_suffix(".json")))

    def _read(self, file: Path, wanted: Wanted, student: int | None) -> tuple[SoftLabels, int]:
        manifest = self._manifest(file)
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}, but its manifest is there") from None
        return SoftLabels.checked(raw, manifest, wanted, student=student, name=str(file)), len(raw)


def _appear(file: Path, raw: bytes) -> int:
    """Write a file whole; where it is there already, it must hold the same bytes. Raises DataError."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        os.link(temporary, file)
    except FileExistsError:
        if file.read_bytes() != raw:
            raise DataError(f"{file} is there already with other bytes: two writers, or an earlier one that computed otherwise") from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(raw)
