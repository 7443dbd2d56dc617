"""What stands in reports/data/: the evaluated tables, as the report reads them."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A piece of a file that `okd tables` writes and `okd report` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunRecord(Record):
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


class Measured(Record):
    """Ours, in the table's unit: mean and standard deviation (n - 1) over replicates."""

    mean: float
    spread: float | None
    values: list[float]


class VerdictRecord(Record):
    """The difference (ours minus the paper's) behind a verdict, its 90 % interval and the margin."""

    difference: float
    low: float
    high: float
    margin: float
    fragile: bool  # another reading of the paper's +- or of its n gives another word


class CellRecord(Record):
    address: str
    row: str
    column: str
    state: str
    detail: str
    statistic: str
    unit: str
    planned: int  # replicates
    ours: Measured | None
    best_epoch: Measured | None  # the epoch chosen by looking at the test set: optimistic
    printed: str | None
    published: float | None
    published_spread: float | None
    decimals: int
    runs: list[RunRecord]
    verdict: VerdictRecord | None = None


class TableRecord(Record):
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


class RemarkRecord(Record):
    id: str
    what: str
    why: str
    cells: list[str]


class PaperRecord(Record):
    name: str
    title: str
    source: str
    tables: list[str]
    assumptions: list[RemarkRecord]
    deviations: list[RemarkRecord]


class Summary(Record):
    """reports/data/summary.json."""

    scale: str
    reproduce: list[str]
    papers: list[PaperRecord]
    states: dict[str, int]  # cells by state
    runs: dict[str, int]  # chosen runs by state
    data: list[str]  # hashes of the data sets that results were made with
    version: int = 1  # of this format
