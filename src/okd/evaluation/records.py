"""What stands in reports/data/: the evaluated tables, as the report reads them."""

from typing import Literal

from okd.evaluation.run_record import Record, RunRecord

VERDICTS = ("matches", "worse", "better", "undecided", "cannot be decided")
COMPARABLE = (*VERDICTS, "measured", "too few seeds", "counted")


class Measured(Record):
    """Ours, in the table's unit: mean and standard deviation (n - 1) over replicates."""

    mean: float
    spread: float | None
    values: list[float]


class Configuration(Record):
    """What a cell's runs are, resolved, each thing in a line; and how that differs from what the paper does."""

    resolved: dict[str, str]
    unlike_paper: list[str] = []  # what a reduced scale or other numerics change against the cell at the paper's scale
    own_recipe: list[str] = []  # what this cell's place in the table changes against the paper's common recipe


class EpochVerdict(Record):
    """What the verdict would be, were ours the best epoch: word, difference, 90 % interval."""

    word: str
    difference: float
    low: float
    high: float


class VerdictRecord(Record):
    """The difference (ours minus the paper's) behind a verdict, its 90 % interval and the margin."""

    difference: float
    low: float
    high: float
    margin: float
    other_words: list[str] = []  # readings that give another word: "spread" (of the paper's +- or of its n), "best epoch"
    best_epoch: EpochVerdict | None = None  # where the paper's number is, or may be, that of its best epoch
    seeds_needed: int | None = None  # of an undecided cell: as many would decide it, should difference and spread stay as they are

    @property
    def fragile(self) -> bool:
        return bool(self.other_words)


class ThirdPartyRecord(Record):
    """What somebody else measured of a cell, in the cell's unit; never judged."""

    source: str
    what: str
    trust: str
    printed: str
    unit: str  # in which it is printed
    value: float
    spread: float | None
    decimals: int
    note: str = ""


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
    margin: float | None = None  # how far "matches" would reach, of a cell that is judged once its runs are done
    seeds: list[int] = []  # of the finished replicates, in the order of ours.values
    configuration: Configuration | None = None
    third_party: list[ThirdPartyRecord] = []

    @property
    def from_evidence(self) -> bool:
        return any(run.from_evidence for run in self.runs)

    @property
    def difference(self) -> float | None:
        """Ours minus the published value; nothing for reduced runs and others that cannot be held against it."""
        comparable = self.state in COMPARABLE and self.ours is not None and self.published is not None
        return round(self.ours.mean - self.published, 6) if comparable and self.ours and self.published is not None else None


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


class Curve(Record):
    """A cell's value epoch by epoch: mean and range over its replicates, thinned to what a figure shows."""

    address: str
    row: str
    column: str
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


class SoftLabels(Record):
    """What a cell's first run answers, on the average, to test images of a class at a temperature."""

    address: str
    column: str
    temperature: float
    label: int
    probabilities: list[float]


class FigureData(Record):
    """What a table with `draw: curves` or `draw: soft-labels` shows beyond its cells: reports/data/<table>.figure.json."""

    curves: list[Curve] = []
    soft_labels: list[SoftLabels] = []


class Citation(Record):
    authors: str
    venue: str
    arxiv: str | None = None
    doi: str | None = None
    code: str | None = None


class RemarkRecord(Record):
    id: str
    what: str
    why: str
    cells: list[str]  # addresses, or their beginnings: a table, a row

    def covers(self, address: str) -> bool:
        return any(f"{address}/".startswith(f"{target.rstrip('/')}/") for target in self.cells)


class PaperRecord(Record):
    name: str
    label: str = ""
    title: str
    source: str
    tables: list[str]
    assumptions: list[RemarkRecord]
    deviations: list[RemarkRecord]
    citation: Citation | None = None
    recipe: dict[str, str] = {}  # the paper's common recipe, as its file has it


class Summary(Record):
    """reports/data/summary.json."""

    scale: str
    reproduce: list[str]
    papers: list[PaperRecord]
    states: dict[str, int]  # cells by state
    runs: dict[str, int]  # chosen runs by state
    data: list[str]  # hashes of the data sets that results were made with
    margins: dict[str, float] = {}  # points by data set, from papers/margins.yaml
    evidence_only: bool = False  # rendered from what git holds, whatever results lie on this machine
    version: Literal[1] = 1  # of this format
