"""What papers claim, as their files say it: criteria over cells, in a small closed language.

A pattern is an address in which `*` stands for any text, the same on every side of a criterion, and `{a,b}` for each of its choices;
the same braces on several sides are the same choice. Blank cells take no part.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from okd.plan.catalog import Strict

Number = int | float
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
Sides = Annotated[list[list[Number]], Field(min_length=2)]


class CrossEntropy(Strict):
    """Of two predictions under one label: equal, or lower for the first."""

    label: list[Number]
    predictions: Annotated[Sides, Field(max_length=2)]
    expect: Literal["equal", "lower"]


class Mixture(Strict):
    """The cross-entropy of the weighted mean of predictions is at most the weighted mean of their cross-entropies."""

    label: list[Number]
    predictions: Sides
    weights: list[Number]

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Mixture":
        if len(self.weights) != len(self.predictions) or abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError("as many weights as predictions, which sum to 1")
        return self


class Criterion(Strict):
    """Exactly one of these; `within` belongs to `equal`, `epochs` to `above`."""

    better: Pair | None = None  # lower error or cost, higher accuracy or gain
    at_least: Pair | None = None  # as good or better
    equal: Pair | None = None
    lower: Pair | None = None  # of numbers that are neither good nor bad
    positive: str | None = None
    order: list[str] | None = Field(None, min_length=2)  # strictly, the best first
    shrinking: list[str] | None = Field(None, min_length=3)  # what each step adds, from the first cell on
    best: Pair | None = None  # better than every cell of the second pattern; counts as one
    somewhere_worse: Pair | None = None  # worse in at least one pair; counts as one
    larger_gain: list[Pair] | None = Field(None, min_length=2, max_length=2)  # [cell, over], [cell, over]
    smaller_range: Pair | None = None  # largest minus smallest value of all cells of a pattern
    diverges: list[str] | None = None
    converges: list[str] | None = None
    above: Pair | None = None  # better at every epoch of a range
    cross_entropy: CrossEntropy | None = None
    mixture: Mixture | None = None
    within: Number | None = Field(None, gt=0)
    epochs: list[int] | None = Field(None, min_length=2, max_length=2)

    @model_validator(mode="after")
    def _one_kind(self) -> "Criterion":
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}")
        if self.within is not None and given != ["equal"]:
            raise ValueError("within belongs to equal")
        if (self.epochs is not None) != (given == ["above"]):
            raise ValueError("above needs epochs: [first, last], and nothing else has them")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def value(self) -> Any:
        return getattr(self, self.kind)


KINDS = tuple(name for name in Criterion.model_fields if name not in ("within", "epochs"))


class Claim(Strict):
    """A claim in our own words; it holds when all of its criteria do."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.+-]{0,120}$")
    statement: str
    source: str
    stated: Literal["text", "caption", "table", "text and table", "our reading"]
    criteria: list[Criterion] = Field(min_length=1)
    note: str = ""
