"""A table's verdicts: its complete cells against the published values, with what the whole table says about spreads."""

from collections.abc import Callable, Container, Hashable, Mapping
from functools import partial

from okd.evaluation.records import CellRecord, EpochVerdict, TableRecord, VerdictRecord
from okd.evaluation.verdict import ASSUMED_N, Prior, Spread, Verdict, fit_prior, judge, spread_of

COMPLETE = "measured"
MOST_SEEDS = 100  # nobody plans more
JUDGED = (COMPLETE, "matches", "better", "worse", "undecided", "cannot be decided")  # a complete cell before and after its verdict
Results = Mapping[str, Hashable]  # by address, the single result that a cell shows; equal where two cells show the same one


def judged(table: TableRecord, margins: Mapping[str, float], results: Results, best_epochs: Container[str] = ()) -> TableRecord:
    """The table with a verdict in every cell that is complete and has a published value; `margins` by address.

    The last epoch gives the verdict. Cells in `best_epochs`, whose papers report the best epoch or do not say which, are judged by
    theirs as well, and that word stands beside the verdict.
    """
    last, best = _judged(table, margins, results), _judged(_at_best_epoch(table, best_epochs), margins, results)
    return last.model_copy(update={"cells": [_with_best_epoch(*pair) for pair in zip(last.cells, best.cells, strict=True)]})


def _at_best_epoch(table: TableRecord, addresses: Container[str]) -> TableRecord:
    """The table in which a cell's number is its best epoch's; other cells have none."""
    shown = [cell.best_epoch if cell.address in addresses else None for cell in table.cells]
    return table.model_copy(
        update={"cells": [cell.model_copy(update={"ours": ours}) for cell, ours in zip(table.cells, shown, strict=True)]}
    )


def _with_best_epoch(cell: CellRecord, other: CellRecord) -> CellRecord:
    if cell.verdict is None or other.verdict is None:
        return cell
    found = other.verdict
    best = EpochVerdict(word=other.state, difference=found.difference, low=found.low, high=found.high)
    words = cell.verdict.other_words + (["best epoch"] if best.word != cell.state else [])
    return cell.model_copy(update={"verdict": cell.verdict.model_copy(update={"best_epoch": best, "other_words": words})})


def _judged(table: TableRecord, margins: Mapping[str, float], results: Results) -> TableRecord:
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
        other_words=["spread"] if verdict.fragile else [],
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
