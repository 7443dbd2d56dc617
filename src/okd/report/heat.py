"""A grid of values: whose, where, how much, and how dark within its row."""

from collections.abc import Sequence
from typing import NamedTuple


class HeatSquare(NamedTuple):
    source: str  # ours or published
    row: str
    column: str
    value: float | None  # nothing where it diverged
    decimals: int

    @property
    def text(self) -> str:
        return "\N{MULTIPLICATION SIGN}" if self.value is None else f"{self.value:.{self.decimals}f}"


def share(square: HeatSquare, squares: Sequence[HeatSquare]) -> float:
    """Where a value lies between its row's smallest and largest, 0 to 1; a half where all are one."""
    row = [one.value for one in squares if one.source == square.source and one.row == square.row and one.value is not None]
    if square.value is None or max(row) == min(row):
        return 0.5
    return (square.value - min(row)) / (max(row) - min(row))
