"""What nodes that meet at `remember` have in common, however they reach each other."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from okd.training.distributed.softlabels import SoftLabels, Wanted

Mix = Callable[[Sequence[SoftLabels]], np.ndarray]  # what all students say, in their order, to the mixture (N, K)


class Diverged(Exception):
    """A term of the loss, or a weight, was not finite: a result, not a failure."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"{term} at step {step}")
        self.step, self.term = step, term


@dataclass
class Traffic:
    """Bytes of soft labels and their manifests, of the rounds since this process started."""

    rounds: int = 0
    sent: int = 0  # by students
    received: int = 0  # by nodes, of mixtures
    served: int = 0  # read in the server's step, by whoever did it
    senders: int = 0  # students of this node whose soft labels travel
    receivers: int = 0  # 1 where the mixture travels to this node


class Meeting(Protocol):
    name: str  # of the way
    traffic: Traffic

    def begin(self, rounds: int, rows: Callable[[], np.ndarray]) -> None:
        """Say how many rounds are behind us; `rows` are those that the last one left."""
        ...

    def meet(self, wanted: Wanted, said: Sequence[SoftLabels], mix: Mix) -> np.ndarray: ...
    def deliver(self, part: bytes) -> list[bytes] | None: ...
    def diverged(self, step: int, term: str) -> None: ...
    def lost(self) -> str | None:
        """Who is gone, in words, where nobody should go on alone."""
        ...


def limit_s(default: float) -> float:
    return float(os.environ.get("OKD_WAIT_S", default))
