"""What others print: a paper's own values, and those of re-runs and re-implementations of its cells."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from okd.plan.catalog import Strict
from okd.plan.source import Document, Fault, Faults, nearest, shown

PRINTED = re.compile(r"(?P<value>-?[0-9]+(\.[0-9]+)?)\s*(\+-\s*(?P<spread>[0-9]+(\.[0-9]+)?))?\s*(?P<marks>[*^a-zA-Z]*)")
NOT_A_VALUE = "is not a number as printed, such as 26.0 or 26.0 +- 0.3"


class Published(Strict):
    """A published value: the string as printed, and the number in it where there is one."""

    printed: str
    value: float | None
    spread: float | None = None
    decimals: int = 0

    @staticmethod
    def parse(printed: str) -> "Published":
        match = PRINTED.fullmatch(printed.strip())
        if not match:
            return Published(printed=printed, value=None)
        number, spread = match["value"], match["spread"]
        decimals = len(number.partition(".")[2])
        return Published(printed=printed, value=float(number), spread=float(spread) if spread else None, decimals=decimals)


def unreadable(printed: str) -> bool:
    """It holds a digit and no number that we find: such a value would never be compared with ours."""
    return any(letter.isdigit() for letter in printed) and Published.parse(printed).value is None


class ThirdPartyValue(Strict):
    cell: str  # the address of a cell of this paper
    printed: str
    note: str = ""

    @field_validator("printed")
    @classmethod
    def _is_a_number(cls, printed: str) -> str:
        if Published.parse(printed).value is None:
            raise ValueError(f"{shown(printed)} {NOT_A_VALUE}")
        return printed


class ThirdParty(Strict):
    """One source outside the papers. Its values are shown beside ours and never judged."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.+-]{0,120}$")
    what: str  # who measured what, under which protocol
    source: str
    trust: str
    unit: Literal["error", "accuracy"]
    values: list[ThirdPartyValue] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class PlacedValue:
    source: ThirdParty
    value: ThirdPartyValue


def place_third_party(papers: Iterable[tuple[str, list[ThirdParty], Document]], owners: Mapping[str, str]) -> dict[str, list[PlacedValue]]:
    """By address, what others measured; `owners` is the paper of every address. Raises Faults of all papers together."""
    found, faults = dict[str, list[PlacedValue]](), list[Fault]()
    for paper, sources, document in papers:
        own = [address for address, owner in owners.items() if owner == paper]
        for index, source in enumerate(sources):
            for number, value in enumerate(source.values):
                if value.cell not in own:
                    problem = f"there is no cell '{value.cell}' in this paper{nearest(value.cell, own)}"
                    faults.append(document.fault(("third_party", index, "values", number, "cell"), problem))
                found.setdefault(value.cell, []).append(PlacedValue(source=source, value=value))
    if faults:
        raise Faults(faults)
    return found
