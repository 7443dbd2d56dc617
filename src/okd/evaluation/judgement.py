"""A table's verdicts: its complete cells against the published values, with what the whole table says about spreads."""

from collections.abc import Mapping

from okd.evaluation.records import CellRecord, TableRecord, VerdictRecord
from okd.evaluation.verdict import ASSUMED_N, Prior, fit_prior, judge, spread_of

COMPLETE = "measured"
JUDGED = (COMPLETE, "matches", "better", "worse", "undecided", "cannot be decided")  # a complete cell before and after its verdict


def judged(table: TableRecord, margins: Mapping[str, float]) -> TableRecord:
    """The table with a verdict in every cell that is complete and has a published value; `margins` by address."""
    ours, theirs = our_prior(table), _their_prior(table)
    cells = [_judge(cell, margins[cell.address], ours, theirs) if cell.address in margins else cell for cell in table.cells]
    return table.model_copy(update={"cells": cells})


def _judge(cell: CellRecord, margin: float, ours: Prior | None, theirs: Prior | None) -> CellRecord:
    if cell.state != COMPLETE or cell.ours is None or cell.published is None:
        return cell
    n = len(cell.ours.values)
    spread = spread_of(None if cell.ours.spread is None else cell.ours.spread**2, n, ours)
    if spread is None:
        return cell.model_copy(update={"state": "too few seeds", "detail": f"{n} run and no other cells to learn its spread from"})
    verdict = judge(
        cell.ours.mean,
        spread,
        cell.published,
        cell.published_spread,
        margin=margin,
        decimals=cell.decimals,
        lower_is_better=cell.unit == "error",
        prior=theirs,
    )
    record = VerdictRecord(
        difference=verdict.difference, low=verdict.low, high=verdict.high, margin=verdict.margin, fragile=verdict.fragile
    )
    return cell.model_copy(update={"state": verdict.word, "verdict": record})


def our_prior(table: TableRecord) -> Prior | None:
    """From the complete cells that have the most common number of runs."""
    complete = [cell.ours for cell in table.cells if cell.state in JUDGED and cell.ours and cell.ours.spread is not None]
    counts = [len(measured.values) for measured in complete]
    n = max(set(counts), key=counts.count, default=0)
    return fit_prior([measured.spread**2 for measured in complete if measured.spread is not None and len(measured.values) == n], n - 1)


def _their_prior(table: TableRecord) -> Prior | None:
    spreads = [cell.published_spread for cell in table.cells if cell.published_spread]
    return fit_prior([spread**2 for spread in spreads], ASSUMED_N - 1)
