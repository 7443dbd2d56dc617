"""What a claim compares, in numbers: sums of cells, the paper's and ours, and how sure ours are.

Terms that the same runs give are summed run by run first, so that what they share cancels; other runs are independent. Runs are not
paired by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, variance

from okd.evaluation.judgement import JUDGED
from okd.evaluation.records import CellRecord
from okd.evaluation.units import unit_of
from okd.evaluation.verdict import ASSUMED_N, Prior, spread_of
from okd.plan.comparisons import Effect, Term
from okd.plan.planner import PlannedCell

Part = tuple[float, float]  # variance of a mean, degrees of freedom
Terms = Sequence[tuple[Term, float]]  # with a weight each


@dataclass(frozen=True, kw_only=True)
class Estimate:
    value: float
    parts: tuple[Part, ...]  # none: counted, exact
    printed_parts: tuple[Part, ...]  # of the paper's own value


@dataclass(frozen=True)
class Cells:
    """Evaluated cells by address, with their plans, margins (where they are judged), the priors of their tables, and the scale of all."""

    records: Mapping[str, CellRecord]
    planned: Mapping[str, PlannedCell]
    margins: Mapping[str, float]
    priors: Mapping[str, Prior | None]  # by table
    scale: str

    def unfinished(self, addresses: Sequence[str]) -> list[str]:
        """Those that are not complete at scale paper, their parts' states counting for a difference."""
        return [address for address in addresses if not all(self._complete(leaf) for leaf, _ in self.leaves(address))]

    def _complete(self, address: str) -> bool:
        record = self.records[address]
        return record.ours is not None and record.state in (*JUDGED, "counted")

    def diverged(self, address: str) -> bool:
        """Whether all runs have ended as planned at the paper's scale, some of them without a number.

        Reduced runs, other numerics and data that were not verified say nothing about a paper's divergence.
        """
        records = [self.records[leaf] for leaf, _ in self.leaves(address)]
        has_ended = all(run.state in ("diverged", "done") for record in records for run in record.runs)
        states = {record.state for record in records}
        return self.scale == "paper" and has_ended and "diverged" in states and states <= {"diverged", *JUDGED}

    def leaves(self, address: str) -> list[tuple[str, int]]:
        """A cell that is a difference is its parts."""
        cell = self.planned[address].placed.cell
        if cell is None or cell.difference is None:
            return [(address, 1)]
        return [(part, sign) for sign, side in zip((1, -1), cell.difference, strict=True) for part in side]

    def printed(self, effect: Effect) -> float | None:
        """The effect in the paper's own numbers; None where it prints a blank."""
        total = 0.0
        for term in effect:
            values = [self.records[address].published for address in term.addresses]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            total += term.factor * (max(known) - min(known) if len(known) > 1 else known[0])
        return round(total, 6)

    def margin(self, effect: Effect) -> float:
        """The largest margin of its cells; 0 where they have none."""
        leaves = [leaf for term in effect for address in term.addresses for leaf, _ in self.leaves(address)]
        return max((self.margins.get(leaf, 0.0) for leaf in leaves), default=0.0)

    def unit(self, effect: Effect) -> str:
        """Errors and accuracies differ by points, other numbers by their own unit."""
        unit = unit_of(self.records[effect[0].addresses[0]])
        return "points" if unit in ("error", "accuracy") else unit

    def is_counted(self, effect: Effect) -> bool:
        return all(self.records[address].state == "counted" for term in effect for address in term.addresses)

    def estimate(self, terms: Terms) -> Estimate | None:
        """A weighted sum of complete cells; None where a single run leaves its spread unknown."""
        groups: dict[tuple, list[tuple[Term, float]]] = {}
        for term, weight in terms:
            flat = [(Term((leaf,), sign), weight * term.factor) for leaf, sign in self.leaves(term.addresses[0])]
            for part, factor in flat if len(term.addresses) == 1 else [(Term(term.addresses, 1), weight * term.factor)]:
                key = tuple(self.planned[address].replicates for address in part.addresses)
                groups.setdefault(key if any(key) else part.addresses, []).append((part, factor * part.factor))
        value, ours, theirs = 0.0, list[Part](), list[Part]()
        for group in groups.values():
            series = [[factor * number for number in self._values(part)] for part, factor in group]
            sums = [sum(numbers) for numbers in zip(*series, strict=True)]
            value += mean(sums)
            if self.records[group[0][0].addresses[0]].state == "counted":
                continue
            spread = self._spread(group, sums)
            if spread is None:
                return None
            ours.append((spread[0] / len(sums), spread[1]))
            theirs += self._printed_parts(group, spread)
        return Estimate(value=value, parts=tuple(ours), printed_parts=tuple(theirs))

    def _values(self, term: Term) -> list[float]:
        """One value a replicate."""
        columns = [found.values for address in term.addresses if (found := self.records[address].ours)]
        return columns[0] if len(columns) == 1 else [max(row) - min(row) for row in zip(*columns, strict=True)]

    def _spread(self, group: Terms, sums: Sequence[float]) -> Part | None:
        """Variance between replicates; a single cell leans on its table."""
        own = variance(sums) if len(sums) > 1 else None
        (address, *others), factor = group[0][0].addresses, group[0][1]
        if len(group) > 1 or others:
            return (own, len(sums) - 1) if own is not None else None
        scale = factor**2
        found = spread_of(None if own is None else own / scale, len(sums), self.priors.get(address.partition("/")[0])) if scale else None
        return (found.variance * scale, found.degrees) if found else None

    def _printed_parts(self, group: Terms, spread: Part) -> list[Part]:
        """The paper's own uncertainty: its printed spreads, else one run like ours."""
        printed = [(self.records[term.addresses[0]].published_spread, factor) for term, factor in group if len(term.addresses) == 1]
        known = [((value * factor) ** 2 / ASSUMED_N, ASSUMED_N - 1.0) for value, factor in printed if value]
        return known if len(known) == len(group) else [*known, spread]
