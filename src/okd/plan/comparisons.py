"""From a claim's patterns to the cells that it compares."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from okd.plan.cells import PlacedCell
from okd.plan.claims import Claim, Criterion
from okd.plan.paper import COSTS, PaperFile
from okd.plan.source import Document, Fault, Faults, nearest

BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Term:
    """A cell's value times a factor; of several cells, the largest minus the smallest of their values."""

    addresses: tuple[str, ...]
    factor: int


Effect = tuple[Term, ...]  # a sum of terms that the claim says is above 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One thing that a claim says: all (or any) of its effects are above 0, or cells diverge."""

    criterion: Criterion
    effects: tuple[Effect, ...] = ()
    cells: tuple[str, ...] = ()  # of criteria that are no effects

    @property
    def addresses(self) -> list[str]:
        found = [address for effect in self.effects for term in effect for address in term.addresses]
        return list(dict.fromkeys([*found, *self.cells]))


@dataclass(frozen=True, kw_only=True)
class PlacedClaim:
    paper: str
    claim: Claim
    comparisons: tuple[Comparison, ...]

    @property
    def addresses(self) -> list[str]:
        return list(dict.fromkeys(address for one in self.comparisons for address in one.addresses))


def place_claims(documents: Mapping[str, tuple[PaperFile, Document]], placed: Iterable[PlacedCell]) -> list[PlacedClaim]:
    """Every claim of every paper with its cells. Raises Faults of all of them together."""
    cells = {cell.address: cell for cell in placed}
    claims, faults = list[PlacedClaim](), list[Fault]()
    seen: dict[str, str] = {cell.table.id: "a table" for cell in cells.values()} | dict.fromkeys(documents, "a paper")
    for paper, (content, document) in documents.items():
        for index, claim in enumerate(content.claims):
            at = ("claims", index)
            if claim.id in seen:
                faults.append(document.fault((*at, "id"), f"'{claim.id}' is already {seen[claim.id]}"))
            seen.setdefault(claim.id, f"a claim of {document.file}")
            comparisons = list[Comparison]()
            for number, criterion in enumerate(claim.criteria):
                try:
                    comparisons += Patterns(cells).comparisons(criterion)
                except ValueError as error:
                    faults.append(document.fault((*at, "criteria", number, criterion.kind), str(error)))
            claims.append(PlacedClaim(paper=paper, claim=claim, comparisons=tuple(comparisons)))
    if faults:
        raise Faults(faults)
    return claims


@dataclass(frozen=True)
class Patterns:
    """All cells, to be found by patterns. Every method raises ValueError for a pattern that names nothing."""

    cells: Mapping[str, PlacedCell]

    def comparisons(self, criterion: Criterion) -> list[Comparison]:
        value = criterion.value
        match criterion.kind:
            case "better" | "at_least" | "equal":
                effects = [(self.good(a), self.bad(b)) for a, b in self.matched(value)]
            case "lower":
                effects = [(Term((b,), 1), Term((a,), -1)) for a, b in self.matched(value)]
            case "positive":
                effects = [(self.good(address),) for (address,) in self.matched([value])]
            case "order":
                effects = [(self.good(a), self.bad(b)) for row in self.matched(value) for a, b in pairwise(row)]
            case "shrinking":
                steps = [(row, index) for row in self.matched(value) for index in range(len(row) - 2)]
                effects = [self.gains(row[index + 1], row[index], row[index + 2], row[index + 1]) for row, index in steps]
            case "larger_gain":
                effects = [self.gains(*row) for row in self.matched([pattern for pair in value for pattern in pair])]
            case "smaller_range":
                effects = [(Term(self.set_of(value[1]), 1), Term(self.set_of(value[0]), -1))]
            case "best":
                rivals = self.set_of(value[1])
                return [
                    Comparison(criterion=criterion, effects=tuple((self.good(a), self.bad(b)) for b in rivals))
                    for (a,) in self.matched(value[:1])
                ]
            case "somewhere_worse":
                return [Comparison(criterion=criterion, effects=tuple((self.good(b), self.bad(a)) for a, b in self.matched(value)))]
            case "diverges" | "converges":
                return [Comparison(criterion=criterion, cells=(address,)) for pattern in value for address in self.set_of(pattern)]
            case "above":
                return [Comparison(criterion=criterion, cells=pair) for pair in self.matched(value)]
            case _:
                return [Comparison(criterion=criterion)]
        return [Comparison(criterion=criterion, effects=(effect,)) for effect in effects]

    def gains(self, a: str, over_a: str, b: str, over_b: str) -> Effect:
        """What a gains over its rival, minus what b gains over its own."""
        return (self.good(a), self.bad(over_a), self.bad(b), self.good(over_b))

    def good(self, address: str) -> Term:
        return Term((address,), self.direction(address))

    def bad(self, address: str) -> Term:
        return Term((address,), -self.direction(address))

    def direction(self, address: str) -> int:
        """1 where a higher value is better, -1 where a lower one is."""
        cell = self.cells[address].cell
        assert cell is not None
        if cell.unit in ("accuracy", "points"):
            return 1
        if cell.unit == "error" or cell.statistic in COSTS:
            return -1
        raise ValueError(f"{address} is neither good nor bad when it is high: use lower, or smaller_range")

    def set_of(self, pattern: str) -> tuple[str, ...]:
        """Every cell that a pattern names, alone."""
        return tuple(address for (address,) in self.matched([pattern]))

    def matched(self, patterns: Sequence[str]) -> list[tuple[str, ...]]:
        """Cells of several patterns that agree in what stands for braces and stars."""
        if len({pattern.count("*") for pattern in patterns}) > 1:
            raise ValueError("all sides need equally many *, since each stands for the same text on every side")
        braces = list(dict.fromkeys(text for pattern in patterns for text in BRACES.findall(pattern)))
        found = list[tuple[str, ...]]()
        for choice in product(*(text.split(",") for text in braces)):
            chosen = {f"{{{text}}}": word.strip() for text, word in zip(braces, choice, strict=True)}
            plain = [BRACES.sub(lambda match, chosen=chosen: chosen[match[0]], pattern) for pattern in patterns]
            hits = [self._stars(pattern) for pattern in plain]
            for pattern, hit in zip(plain, hits, strict=True):
                if not hit:
                    raise ValueError(f"there is no cell '{pattern}'{nearest(pattern, self.cells)}")
            shared = [stars for stars in hits[0] if all(stars in hit for hit in hits)]
            rows = [tuple(hit[stars] for hit in hits) for stars in shared]
            found += [row for row in rows if all(self.cells[address].cell is not None for address in row)]
        if not found:
            raise ValueError(f"no cells agree in {' and '.join(patterns)}")
        return list(dict.fromkeys(found))

    def _stars(self, pattern: str) -> dict[tuple[str, ...], str]:
        """Cells of a pattern without braces, by what the stars stand for."""
        if "*" not in pattern:
            return {(): pattern} if pattern in self.cells else {}
        expression = re.compile("([^/]+)".join(map(re.escape, pattern.split("*"))))
        return {match.groups(): address for address in self.cells if (match := expression.fullmatch(address))}
