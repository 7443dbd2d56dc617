"""What stands in reports/data/: the evaluated tables, as the report reads them."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One training behind a cell."""

    id: str
    key: str
    seed: int
    state: str  # done, diverged, failed, running, stale, not run
    detail: str = ""  # why it failed, where it diverged, how far it is
    epochs: int | None = None
    seconds: float | None = None
    device: str = ""
    weights_sha256: str = ""
    resumes: int = 0
    command: str = ""  # that does just this run


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Ours, in the table's unit: mean and standard deviation (n - 1) over replicates."""

    mean: float
    spread: float | None
    values: list[float]


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    address: str
    row: str
    column: str
    state: str
    detail: str
    statistic: str
    planned: int  # replicates
    ours: Measured | None
    best_epoch: Measured | None  # the epoch chosen by looking at the test set: optimistic
    printed: str | None
    published: float | None
    published_spread: float | None
    decimals: int
    runs: list[RunRecord]


@dataclass(frozen=True, kw_only=True)
class TableRecord:
    id: str
    paper: str
    title: str
    note: str
    draw: str | None
    unit: str
    rows: list[str]
    columns: list[str]
    cells: list[CellRecord]  # row by row

    def cell(self, row: str, column: str) -> CellRecord:
        return self.cells[self.rows.index(row) * len(self.columns) + self.columns.index(column)]


@dataclass(frozen=True, kw_only=True)
class RemarkRecord:
    id: str
    what: str
    why: str
    cells: list[str]


@dataclass(frozen=True, kw_only=True)
class PaperRecord:
    name: str
    title: str
    source: str
    tables: list[str]
    assumptions: list[RemarkRecord]
    deviations: list[RemarkRecord]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """reports/data/summary.json."""

    scale: str
    reproduce: list[str]
    papers: list[PaperRecord]
    states: dict[str, int]  # cells by state
    runs: dict[str, int]  # chosen runs by state
    data: list[str]  # hashes of the data sets that results were made with
    schema: int = 1
    notes: list[str] = field(default_factory=list)


def to_json(record: Any) -> dict[str, Any]:
    return asdict(record)


def table_from_json(record: dict[str, Any]) -> TableRecord:
    return TableRecord(**record | {"cells": [_cell(cell) for cell in record["cells"]]})


def summary_from_json(record: dict[str, Any]) -> Summary:
    return Summary(**record | {"papers": [_paper(paper) for paper in record["papers"]]})


def _cell(record: dict[str, Any]) -> CellRecord:
    measured = {name: Measured(**record[name]) if record[name] else None for name in ("ours", "best_epoch")}
    return CellRecord(**record | measured | {"runs": [RunRecord(**run) for run in record["runs"]]})


def _paper(record: dict[str, Any]) -> PaperRecord:
    remarks = {name: [RemarkRecord(**remark) for remark in record[name]] for name in ("assumptions", "deviations")}
    return PaperRecord(**record | remarks)
