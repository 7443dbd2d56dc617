"""Which of the design's states a cell is in before it is judged, and the words behind it."""

from collections import Counter
from collections.abc import Sequence

from okd.evaluation.evidence import other_numerics
from okd.evaluation.outcomes import Outcome
from okd.evaluation.run_record import RunRecord
from okd.evaluation.scores import COLLAPSED_WITHIN
from okd.plan.paper import COSTS
from okd.plan.planner import PlannedCell


def state_of(
    planned: PlannedCell, replicates: Sequence[Sequence[Outcome]], *, finished: int, near_chance: int, scale: str
) -> tuple[str, str]:
    """State and detail of a cell of which so many replicates have a number, some of them one that is near chance.

    A run that ended near chance counts as diverged: whether its loss overflowed on the way is a matter of rounding.
    What makes a cell unfit to be judged is said first, so that neither a number nor a diverged run is ever taken for more than it is.
    """
    if planned.reason:
        state, _, detail = planned.reason.partition(": ")
        return state, detail
    cell = planned.placed.cell
    if cell is not None and cell.statistic in COSTS and cell.difference is None:
        return "counted", "no training: counted from the network"
    ends = [one for replicate in replicates for one in replicate]
    records = [one.record for one in ends]
    states = Counter(record.state for record in records)
    diverged = _joined(
        f"{states['diverged']} of {len(records)} runs: {_first(records, 'diverged')}" if states["diverged"] else "",
        f"{near_chance} of {len(replicates)} ended within {COLLAPSED_WITHIN:g} points of chance" if near_chance else "",
    )
    lost = sum(any(one.record.state == "diverged" for one in replicate) for replicate in replicates)
    if any(one.result and not one.result.get("data_verified", True) for one in ends):
        return "data not verified", _joined("trained on data whose checksum differs: never judged", _as_well(diverged))
    others = [f"computed as {name}, planned as {one.run.numerics.name}" for one in ends if (name := other_numerics(one.evidence, one.run))]
    if others and finished + lost == len(replicates):
        return "other numerics", _joined(f"{len(others)} of {len(records)} runs {others[0]}: never judged", _as_well(diverged))
    if diverged:
        return "diverged", _joined(diverged, "" if scale == "paper" else f"scale {scale}: never judged")
    if finished == len(replicates):
        return ("measured", "") if scale == "paper" else ("reduced", f"scale {scale}, {records[0].epochs} epochs")
    for state in ("failed", "running"):
        if states[state]:
            return state, f"{states[state]} of {len(records)} runs: {_first(records, state)}"
    if finished:
        return "too few seeds", _joined(f"{finished} of {len(replicates)} runs", *others[:1])
    return ("stale", _first(records, "stale")) if states["stale"] else ("not run", "")


def _first(records: Sequence[RunRecord], state: str) -> str:
    return next((record.detail for record in records if record.state == state), "")


def _as_well(diverged: str) -> str:
    return f"diverged: {diverged}" if diverged else ""


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
