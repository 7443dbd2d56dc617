"""A cell's small figure: the published value, the margin around it, our seeds and the interval, on one line."""

from collections.abc import Sequence
from dataclasses import dataclass

from okd.evaluation.finding_records import ClaimRecord
from okd.evaluation.records import CellRecord

LEFT, WIDTH = 12.0, 296.0  # of 320 units


@dataclass(frozen=True)
class Strip:
    """Positions from 0 to 320; a pair where something has two ends."""

    published: float
    mean: float
    seeds: list[float]
    margin: tuple[float, float] | None
    interval: tuple[float, float] | None
    words: str
    zero: float | None = None


def reach(cells: Sequence[CellRecord]) -> float:
    """How far from the published value strips must go that share one axis."""
    ends = [cell.margin or 0.0 for cell in cells]
    for cell in cells:
        if cell.ours is not None and cell.published is not None:
            ends += [abs(value - cell.published) for value in cell.ours.values]
        ends += [abs(end) for end in ((cell.verdict.low, cell.verdict.high) if cell.verdict else ())]
    return max(ends, default=0.0)


def strip(cell: CellRecord, around: float = 0.0) -> Strip | None:
    """Nothing for a reduced run: its numbers are on other data. `around`: at least so far to both sides of the published value."""
    if cell.ours is None or cell.published is None or cell.state in ("reduced", "counted"):
        return None
    values = [cell.published, *cell.ours.values, cell.ours.mean]
    verdict = cell.verdict
    margin = (cell.published - cell.margin, cell.published + cell.margin) if cell.margin is not None else None
    interval = (cell.published + verdict.low, cell.published + verdict.high) if verdict else None
    values += [*(margin or ()), *(interval or ()), cell.published - around, cell.published + around]
    low, high = min(values), max(values)
    scale = WIDTH / (high - low) if high > low else 0.0

    def place(value: float) -> float:
        return round(LEFT + (value - low) * scale, 1) if scale else 160.0

    def ends(pair: tuple[float, float] | None) -> tuple[float, float] | None:
        return (place(pair[0]), place(pair[1])) if pair else None

    decimals = max(cell.decimals, 2)
    words = f"published {cell.published:.{decimals}f}, ours {', '.join(f'{value:.{decimals}f}' for value in cell.ours.values)}"
    words += f"; margin ±{cell.margin:g}" if cell.margin is not None else ""
    words += f", interval {interval[0]:.{decimals}f} to {interval[1]:.{decimals}f}" if interval else ""
    return Strip(
        published=place(cell.published),
        mean=place(cell.ours.mean),
        seeds=[place(value) for value in cell.ours.values],
        margin=ends(margin),
        interval=ends(interval),
        words=words,
    )


def claim_strip(claim: ClaimRecord) -> Strip | None:
    """The paper's effect and ours with its interval, against nothing."""
    if claim.printed_effect is None or claim.effect is None:
        return None
    interval = (claim.low, claim.high) if claim.low is not None and claim.high is not None else (claim.effect, claim.effect)
    values = [0.0, claim.printed_effect, claim.effect, *interval]
    low, high = min(values), max(values)
    scale = WIDTH / (high - low) if high > low else 0.0
    places = [round(LEFT + (value - low) * scale, 1) for value in values]
    words = f"published effect {claim.printed_effect:.2f}, ours {claim.effect:.2f}, interval {interval[0]:.2f} to {interval[1]:.2f}"
    return Strip(
        published=places[1], mean=places[2], seeds=[places[2]], margin=None, interval=(places[3], places[4]), words=words, zero=places[0]
    )
