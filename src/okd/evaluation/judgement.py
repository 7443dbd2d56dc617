"""A table's verdicts: its complete cells against the published values, with what the whole table says about spreads."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial

from okd.evaluation.records import CellRecord, TableRecord, VerdictRecord
from okd.evaluation.verdict import ASSUMED_N, Prior, Spread, Verdict, fit_prior, judge, spread_of

COMPLETE = "measured"
MOST_SEEDS = 100  # nobody plans more
JUDGED = (COMPLETE, "matches", "better", "worse", "undecided", "cannot be decided")  # a complete cell before and after its verdict


Results = Mapping[str, Hashable]  # by address, the single result that a cell shows; equal where two cells show the same one


def judged(table: TableRecord, margins: Mapping[str, float], results: Results) -> TableRecord:
    """The table with a verdict in every cell that is complete and has a published value; `margins` by address."""
    ours, theirs = our_prior(table, results), _their_prior(table)
    known = [cell.model_copy(update={"margin": margins.get(cell.address)}) for cell in table.cells]
    cells = [_judge(cell, cell.margin, ours, theirs) if cell.margin is not None else cell for cell in known]
    return table.model_copy(update={"cells": cells})


def _judge(cell: CellRecord, margin: float, ours: Prior | None, theirs: Prior | None) -> CellRecord:
    if cell.state != COMPLETE or cell.ours is None or cell.published is None:
        return cell
    n = len(cell.ours.values)
    spread = spread_of(None if cell.ours.spread is None else cell.ours.spread**2, n, ours)
    if spread is None:
        return cell.model_copy(update={"state": "too few seeds", "detail": f"{n} run and no other cells to learn its spread from"})
    held_against = partial(
        judge,
        cell.ours.mean,
        published=cell.published,
        published_spread=cell.published_spread,
        margin=margin,
        decimals=cell.decimals,
        lower_is_better=cell.unit == "error",
        prior=theirs,
    )
    verdict = held_against(spread)
    record = VerdictRecord(
        difference=verdict.difference,
        low=verdict.low,
        high=verdict.high,
        margin=verdict.margin,
        fragile=verdict.fragile,
        seeds_needed=_seeds_needed(held_against, spread) if verdict.word == "undecided" else None,
    )
    return cell.model_copy(update={"state": verdict.word, "verdict": record})


def _seeds_needed(held_against: Callable[[Spread], Verdict], spread: Spread) -> int | None:
    """The fewest seeds that would decide, should difference and spread stay as they are; None above MOST_SEEDS."""
    low, high = spread.n, MOST_SEEDS
    if held_against(spread.of_runs(high)).word == "undecided":
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if held_against(spread.of_runs(middle)).word == "undecided" else (low, middle)
    return high


def our_prior(table: TableRecord, results: Results) -> Prior | None:
    """From the complete cells that have the most common number of runs, each result once.

    A gain is a sum of up to four results, and so wider than any of them; a run that stands in several cells tells of its spread once.
    """
    cells = [
        cell for cell in table.cells if cell.state in JUDGED and cell.ours and cell.ours.spread is not None and cell.address in results
    ]
    complete = [cell.ours for cell in {results[cell.address]: cell for cell in cells}.values() if cell.ours]
    counts = [len(measured.values) for measured in complete]
    n = max(set(counts), key=counts.count, default=0)
    return fit_prior([measured.spread**2 for measured in complete if measured.spread is not None and len(measured.values) == n], n - 1)


def _their_prior(table: TableRecord) -> Prior | None:
    spreads = [cell.published_spread for cell in table.cells if cell.published_spread]
    return fit_prior([spread**2 for spread in spreads], ASSUMED_N - 1)
