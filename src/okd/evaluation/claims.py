"""Whether a paper's claims hold: in its own printed numbers, and in ours.

A claim that compares several pairs says that every one of them holds, so that its p-value is the largest of theirs; that it fails is
shown by one pair, for which all of them are tried. Holm's correction runs over all claims that can be tested. The size of an effect is
judged on the mean over the pairs of the claim's first criterion that has a size, and of those like it: steps are not averaged with
differences of steps, nor ranges with variances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from okd.evaluation.arithmetic import arithmetic_holds
from okd.evaluation.effects import Cells, Estimate, Part
from okd.evaluation.finding_records import ClaimRecord, EffectRecord
from okd.evaluation.printed import printed_claim
from okd.evaluation.scores import collapsed
from okd.evaluation.verdict import chance_above, interval
from okd.plan.catalog import catalog
from okd.plan.comparisons import Comparison, Effect, PlacedClaim

LEVEL = 0.05
SAME_SIZE = 0.30  # of the paper's effect
SIZED = ("better", "lower", "positive", "order", "shrinking", "larger_gain", "smaller_range")  # effects whose size is compared, too
Curves = Mapping[str, Mapping[int, float]]  # by address: value after each epoch, mean over runs


@dataclass(frozen=True, kw_only=True)
class Shown:
    """p-values of "all of it holds" and of "some of it fails"; None for what is plainly true or false, or open."""

    holds: float
    fails: float
    exact: bool = False


def claim_records(claims: Sequence[PlacedClaim], cells: Cells, curves: Curves) -> list[ClaimRecord]:
    found = [_Judged(claim, cells, curves) for claim in claims]
    corrected = holm([one.p if one.is_tested else None for one in found])
    return [one.record(p) for one, p in zip(found, corrected, strict=True)]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values; what was not tested stays None."""
    tested = sorted((value, index) for index, value in enumerate(values) if value is not None)
    adjusted, running = list[float | None]([None] * len(values)), 0.0
    for rank, (value, index) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * value))
        adjusted[index] = running
    return adjusted


class _Judged:
    """One claim against our cells."""

    def __init__(self, placed: PlacedClaim, cells: Cells, curves: Curves) -> None:
        self.placed, self.cells, self.curves = placed, cells, curves
        self.missing = [address for address in placed.addresses if not self._ready(address)]
        self.diverged = [address for address in self.missing if cells.diverged(address)]
        self.shown = [self._shown(one) for one in placed.comparisons] if not self.missing else []

    def _ready(self, address: str) -> bool:
        asked = [one for one in self.placed.comparisons if address in one.addresses]
        if all(one.criterion.kind in ("diverges", "converges") for one in asked) and self.cells.diverged(address):
            return True
        return not self.cells.unfinished([address])

    @property
    def is_tested(self) -> bool:
        return bool(self.shown) and not all(one.exact for one in self.shown)

    @property
    def holds(self) -> float:
        return max(one.holds for one in self.shown)

    @property
    def fails(self) -> float:
        return min(1.0, len(self.shown) * min(one.fails for one in self.shown))

    @property
    def p(self) -> float:
        return min(self.holds, self.fails)

    def _shown(self, comparison: Comparison) -> Shown:
        criterion, cells = comparison.criterion, self.cells
        match criterion.kind:
            case "diverges" | "converges":
                shares = [self._diverged_share(address) for address in comparison.cells]
                share = shares[0] if criterion.kind == "diverges" else 1 - shares[0]
                return _exact(share == 1, share == 0)
            case "above":
                ours, rival = (self.curves.get(address, {}) for address in comparison.cells)
                first, last = criterion.epochs or (0, 0)
                steps = [ours[epoch] - rival[epoch] for epoch in sorted(set(ours) & set(rival)) if first <= epoch + 1 <= last]
                return _exact(bool(steps) and min(steps) > 0, bool(steps) and mean(steps) <= 0)
            case "cross_entropy" | "mixture":
                return _exact(arithmetic_holds(criterion), not arithmetic_holds(criterion))
        found = [(effect, cells.estimate([(term, 1.0) for term in effect])) for effect in comparison.effects]
        each = [_of_effect(comparison, estimate, cells.margin(effect)) for effect, estimate in found]
        exact = all(one.exact for one in each)
        if criterion.kind == "somewhere_worse":
            return Shown(holds=min(1.0, len(each) * min(one.holds for one in each)), fails=max(one.fails for one in each), exact=exact)
        return Shown(holds=max(one.holds for one in each), fails=min(1.0, len(each) * min(one.fails for one in each)), exact=exact)

    def _diverged_share(self, address: str) -> float:
        """Of a cell's runs, those that diverged or ended near chance."""
        record, planned = self.cells.records[address], self.cells.planned[address].placed.cell
        assert planned is not None
        classes = catalog().datasets[str(planned.dataset)].classes
        errors = [100 - value if record.unit == "accuracy" else value for value in (record.ours.values if record.ours else [])]
        kept = sum(not collapsed(error, classes) for error in errors)
        return 1 - kept / record.planned

    def record(self, p: float | None) -> ClaimRecord:
        outcome, detail = self._outcome(p)
        sized, size, printed, low, high = self._sized(), None, None, None, None
        if self.shown and sized and (estimate := self._mean(sized)):
            size, (low, high) = estimate.value, interval(estimate.value, estimate.parts, confidence=1 - LEVEL)
        values = [value for effect in sized if (value := self.cells.printed(effect)) is not None]
        printed = mean(values) if values and len(values) == len(sized) else None
        claim = self.placed.claim
        return ClaimRecord(
            id=claim.id,
            paper=self.placed.paper,
            statement=claim.statement,
            source=claim.source,
            stated=claim.stated,
            note=claim.note,
            printed=printed_claim(self.placed, self.cells),
            outcome=outcome,
            detail=detail,
            printed_effect=_rounded(printed),
            unit=self.cells.unit(sized[0]) if sized else "",
            effect=_rounded(size),
            low=_rounded(low),
            high=_rounded(high),
            p=_rounded(p),
            cells=self.placed.addresses,
            missing=self.missing,
            effects=self._effects(),
        )

    def _outcome(self, p: float | None) -> tuple[str, str]:
        if self.missing:
            if len(self.diverged) == len(self.missing):
                return "undecided", f"{len(self.diverged)} of its {len(self.placed.addresses)} cells diverged"
            return "not run", f"{len(self.missing)} of its {len(self.placed.addresses)} cells are not complete"
        sized = self._sized()
        shown = self.holds if p is None else p
        if p is None and self.fails < LEVEL:
            return "contradicted", "plainly not so"
        if shown > LEVEL:
            return self._nothing(sized)
        if self.fails < self.holds:
            return "contradicted", "at least one comparison goes the other way"
        return self._size(sized)

    def _nothing(self, sized: list[Effect]) -> tuple[str, str]:
        """Undecided, unless an effect that the paper prints is shown to be within the margin of nothing."""
        estimate, margin = self._mean(sized), self._margin(sized)
        printed = [self.cells.printed(effect) or 0.0 for effect in sized]
        if estimate and margin and estimate.parts and printed and mean(printed) >= margin:
            low, high = interval(estimate.value, estimate.parts)
            if -margin < low and high < margin:
                return "contradicted", f"the effect is within {margin:g} points of nothing"
        return "undecided", "not every comparison is shown, none is shown to fail"

    def _size(self, sized: list[Effect]) -> tuple[str, str]:
        """The direction is shown: is the size the paper's?"""
        printed = [self.cells.printed(effect) for effect in sized]
        known = [value for value in printed if value is not None]
        estimate = self._mean(sized)
        if not sized or len(known) < len(printed) or estimate is None:
            return "reproduced", ""
        bound = max(self._margin(sized), SAME_SIZE * abs(mean(known)))
        parts: list[Part] = [*estimate.parts, *estimate.printed_parts]
        low, high = interval(estimate.value - mean(known), parts)
        if -bound < low and high < bound:
            return "reproduced", ""
        if low > bound or high < -bound:
            return ("larger" if low > bound else "smaller"), f"the effect is not within {bound:.2f} of the paper's"
        return "undecided", "the direction is shown, the size is not"

    def _sized(self) -> list[Effect]:
        """Effects whose size counts, of one kind and in one unit: those of trained cells, else those that are counted."""
        effects = [(one.criterion.kind, one.effects[0]) for one in self.placed.comparisons if one.criterion.kind in SIZED]
        effects = [(kind, effect) for kind, effect in effects if not self.cells.is_counted(effect)] or effects
        alike = [(kind, self.cells.unit(effect)) for kind, effect in effects]
        return [effect for (_, effect), what in zip(effects, alike, strict=True) if what == alike[0]]

    def _margin(self, sized: list[Effect]) -> float:
        return mean([self.cells.margin(effect) for effect in sized]) if sized else 0.0

    def _mean(self, effects: list[Effect]) -> Estimate | None:
        return self.cells.estimate([(term, 1 / len(effects)) for effect in effects for term in effect]) if effects else None

    def _effects(self) -> list[EffectRecord]:
        rows = [(one, effect) for one in self.placed.comparisons for effect in one.effects]
        return [_effect_record(one, effect, self.cells, bool(self.shown)) for one, effect in rows]


def _exact(holds: bool, fails: bool) -> Shown:
    return Shown(holds=0.0 if holds else 1.0, fails=0.0 if fails else 1.0, exact=True)


def _of_effect(comparison: Comparison, estimate: Estimate | None, margin: float) -> Shown:
    """Two-sided p-values that an effect is above 0 (at least as good: above minus the margin; equal: inside it), and that it is not."""
    if estimate is None:
        return Shown(holds=1.0, fails=1.0)
    value, parts, exact = round(estimate.value, 9), estimate.parts, not estimate.parts
    if comparison.criterion.kind == "equal":
        bound = comparison.criterion.within or (margin if not exact else 1e-9)
        inside = max(chance_above(value, parts, -bound), chance_above(-value, parts, -bound))
        outside = min(chance_above(value, parts, bound), chance_above(-value, parts, bound))
        return Shown(holds=inside, fails=min(1.0, 2 * outside), exact=exact)
    threshold = -(margin if not exact else 1e-9) if comparison.criterion.kind == "at_least" else 0.0
    holds, fails = chance_above(value, parts, threshold), chance_above(-value, parts, -threshold)
    if exact and value == threshold:
        fails = 0.0  # equal costs are not lower ones
    return Shown(holds=min(1.0, 2 * holds), fails=min(1.0, 2 * fails), exact=exact)


def _effect_record(comparison: Comparison, effect: Effect, cells: Cells, ready: bool) -> EffectRecord:
    estimate = cells.estimate([(term, 1.0) for term in effect]) if ready else None
    low, high = interval(estimate.value, estimate.parts, confidence=1 - LEVEL) if estimate else (None, None)
    return EffectRecord(
        kind=comparison.criterion.kind,
        plus=[address for term in effect if term.factor > 0 for address in term.addresses],
        minus=[address for term in effect if term.factor < 0 for address in term.addresses],
        printed=cells.printed(effect),
        effect=_rounded(estimate.value if estimate else None),
        low=_rounded(low),
        high=_rounded(high),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
