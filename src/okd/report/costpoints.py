"""Error against cost, and the frontier: what nothing else beats in both."""

from collections.abc import Sequence
from typing import NamedTuple


class CostPoint(NamedTuple):
    head: str  # the network
    row: str  # the method
    source: str  # published or ours
    cost: float
    error: float


def frontier(points: Sequence[CostPoint]) -> list[CostPoint]:
    """By rising cost, the points whose error is below that of everything cheaper."""
    best: list[CostPoint] = []
    for point in sorted(points, key=lambda one: (one.cost, one.error)):
        if not best or point.error < best[-1].error:
            best.append(point)
    return best
