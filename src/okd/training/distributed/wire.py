"""Nodes that reach each other by torch.distributed: soft labels go to the first node, which mixes them, and the mixture comes back.

Between two meetings nobody waits for anybody, for hours if need be. So nodes arrive in torch.distributed's store, beside a heartbeat, and
only when all are there do arrays travel.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from okd.plan.run import Run
from okd.training.distributed.collective import WAIT_S, answered
from okd.training.distributed.meeting import Diverged, Mix, Traffic, limit_s
from okd.training.distributed.place import Place
from okd.training.distributed.softlabels import Manifest, SoftLabels, Wanted, require_probabilities, to_npy
from okd.training.stop import Stop, Stopped

BEAT_S, POLL_S = 5.0, 0.02
DIVERGED = "diverged"


class Wire:
    """One node's end of it, after `join`."""

    name = "torch.distributed"

    def __init__(self, place: Place, run: Run, held: Sequence[range], stop: Stop) -> None:
        self.place, self.run, self.held, self.stop = place, run, held, stop
        self.silent_s = limit_s(WAIT_S)
        self.traffic = Traffic() if place.first else Traffic(senders=len(held[place.rank]), receivers=1)  # the first one is the server
        self.store = PrefixStore("okd", _get_default_store())
        self.heard: dict[int, tuple[str, float]] = dict.fromkeys(range(place.count), ("", time.monotonic()))
        self.given: dict[int, np.ndarray] = {}  # mixtures of rounds that others have behind them
        self.over = False
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        count = 0
        while not self.over:
            count += 1
            try:
                self.store.set(f"alive-{self.place.rank}", str(count))
                for rank, (known, _) in list(self.heard.items()):
                    if self.store.check([f"alive-{rank}"]) and (beat := self.store.get(f"alive-{rank}").decode()) != known:
                        self.heard[rank] = (beat, time.monotonic())
            except (dist.DistError, RuntimeError):
                self.heard = dict.fromkeys(self.heard, ("", -math.inf))  # the store has gone with the process that kept it
                return
            time.sleep(min(BEAT_S, self.silent_s / 6))

    def lost(self) -> str | None:
        now = time.monotonic()
        silent = [rank for rank, (_, since) in self.heard.items() if rank != self.place.rank and now - since > self.silent_s]
        names = " and ".join(f"node {rank}" for rank in silent)
        return f"{names} of {self.place.count} gave no sign of life within {self.silent_s:g} s" if silent and not self.over else None

    def diverged(self, step: int, term: str) -> None:
        with answered():
            self.store.set(DIVERGED, json.dumps({"step": step, "term": term}))

    def begin(self, rounds: int, rows: Callable[[], np.ndarray]) -> None:
        """A node may have been killed between a round and its next checkpoint. Those ahead still hold what that round gave to all."""
        done = [header["rounds"] for header in self._arrive("start", {"rounds": rounds})]
        ahead = max(done)
        if ahead - min(done) > 1:
            behind = [f"node {rank}" for rank, count in enumerate(done) if count < ahead - 1]
            raise ValueError(f"{self.run.id}: {', '.join(behind)} lost more than one round; delete scratch/{self.run.id} to start again")
        if ahead == min(done):
            return
        source = done.index(ahead)
        mixture = self._broadcast(rows() if rounds == ahead else None, source)
        if rounds < ahead:
            self.given[ahead - 1] = mixture

    def meet(self, wanted: Wanted, said: Sequence[SoftLabels], mix: Mix) -> np.ndarray:
        if wanted.round in self.given:
            return self.given.pop(wanted.round)
        headers = self._arrive(f"round-{wanted.round}", {"said": [asdict(one.manifest) for one in said]})
        self.traffic.rounds += 1
        rows: np.ndarray | None = None
        if self.place.first:
            others = [self._receive(rank, headers[rank]["said"], wanted) for rank in range(1, self.place.count)]
            rows = mix([*said, *(one for ones in others for one in ones)])
            self._tell(f"mixed-{wanted.round}")
        else:
            self._until([f"send-{wanted.round}-{self.place.rank}"])  # the server takes one after the other, and its time
            for one in said:
                with answered():
                    dist.send(torch.from_numpy(one.rows), dst=0)
                self.traffic.sent += one.rows.nbytes
        self._until([f"mixed-{wanted.round}"])
        mixture = self._broadcast(rows, 0)
        require_probabilities(mixture, wanted, f"the mixture of round {wanted.round}")
        self.traffic.received += 0 if self.place.first else mixture.nbytes
        return mixture

    def _receive(self, rank: int, records: Sequence[dict[str, Any]], wanted: Wanted) -> list[SoftLabels]:
        """Raises DataError where they are not those of their manifests."""
        self._tell(f"send-{wanted.round}-{rank}")
        said = []
        for manifest in (Manifest(**record) for record in records):
            rows = torch.empty(manifest.images, manifest.classes)
            with answered():
                dist.recv(rows, src=rank)
            self.traffic.served += rows.nbytes
            name = f"node {rank}'s soft labels of student {manifest.student}"
            said.append(SoftLabels.checked(to_npy(rows.numpy()), manifest, wanted, student=manifest.student, name=name))
        return said

    def _broadcast(self, rows: np.ndarray | None, source: int) -> np.ndarray:
        shape = torch.tensor([0, 0] if rows is None else rows.shape, dtype=torch.int64)
        with answered():
            dist.broadcast(shape, src=source)
            values = torch.empty(*shape.tolist()) if rows is None else torch.from_numpy(rows)
            dist.broadcast(values, src=source)
        return values.numpy()

    def deliver(self, part: bytes) -> list[bytes] | None:
        headers = self._arrive("end", {"bytes": len(part)}, whatever=True)
        self.over = True
        mine = torch.frombuffer(bytearray(part), dtype=torch.uint8)
        if not self.place.first:
            with answered():
                dist.send(mine, dst=0)
            return None
        parts = [part]
        for rank, header in enumerate(headers[1:], start=1):
            theirs = torch.empty(header["bytes"], dtype=torch.uint8)
            with answered():
                dist.recv(theirs, src=rank)
            parts.append(theirs.numpy().tobytes())
        return parts

    def _arrive(self, name: str, header: dict[str, Any], *, whatever: bool = False) -> list[dict[str, Any]]:
        """Everybody's header, once all have come. Raises Stopped, or Diverged where one of them has; `whatever` there is to tell."""
        with answered():
            self.store.set(f"{name}-{self.place.rank}", json.dumps(header))
        names = [f"{name}-{rank}" for rank in range(self.place.count)]
        self._until(names, whatever=whatever)
        with answered():
            return [json.loads(self.store.get(one)) for one in names]

    def _tell(self, name: str) -> None:
        with answered():
            self.store.set(name, "1")

    def _until(self, names: list[str], *, whatever: bool = True) -> None:
        """All of these have been told."""
        while True:
            self.stop.check()
            with answered():
                if not whatever and self.store.check([DIVERGED]):
                    raise Diverged(**json.loads(self.store.get(DIVERGED)))
                if self.store.check(names):
                    return
            if words := self.lost():
                raise Stopped(f"{self.run.id}: {words}; the last checkpoint stands")
            time.sleep(POLL_S)
