"""What stands in reports/data/claims.json: claims and rankings, as the report reads them."""

from typing import Literal

from okd.evaluation.run_record import Record


class PrintedClaim(Record):
    """What the paper's own numbers say of its claim."""

    pairs: int  # comparisons that it prints numbers for
    hold: int
    holds: str  # yes, partly, no, no numbers printed
    smallest: float | None  # printed effect, in points, or in the unit of its cells
    largest: float | None


class EffectRecord(Record):
    """One comparison: the sum of some cells minus the sum of others; the claim says that it is above 0 (or near it: `equal`)."""

    kind: str
    plus: list[str]
    minus: list[str]
    printed: float | None
    effect: float | None
    low: float | None  # of the 95 % interval
    high: float | None


class ClaimRecord(Record):
    """A claim in a paper's own numbers and in ours; `effect` is the mean over those of its pairs that tell the size."""

    id: str
    paper: str
    statement: str
    source: str
    stated: str  # text, caption, table, text and table, our reading
    note: str
    printed: PrintedClaim
    outcome: str  # reproduced, smaller, larger, contradicted, undecided, not run
    detail: str
    printed_effect: float | None  # it and the next three are means over the pairs of one kind, in `unit`
    unit: str = ""  # points, or what its cells count
    effect: float | None
    low: float | None  # of the 95 % interval
    high: float | None
    p: float | None  # after Holm's correction over all claims that could be tested
    cells: list[str]
    missing: list[str]  # cells without a complete result
    effects: list[EffectRecord]


class RankRecord(Record):
    """Cells of one network in a table: the pairs that the paper separates, and how many keep their order."""

    table: str
    label: str
    cells: int  # that the paper prints
    separated: int  # pairs that the paper separates: by two standard errors, or by more than the margin where a +- is missing
    compared: int  # of these, pairs with complete results
    kept: int
    same_best: bool | None  # None until all cells are complete
    tau: float | None  # Kendall's tau-b over the complete cells


class Findings(Record):
    """reports/data/claims.json."""

    claims: list[ClaimRecord]
    ranks: list[RankRecord]
    version: Literal[1] = 1
