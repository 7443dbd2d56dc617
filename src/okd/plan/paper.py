"""The format of papers/*.yaml: recipe, tables, published values, claims, assumptions, deviations."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from okd.plan.catalog import Augmentation, Normalisation, Strict, Value
from okd.plan.claims import Claim
from okd.plan.published import NOT_A_VALUE, ThirdParty, unreadable
from okd.plan.schema import Misplaced, Problem, validated
from okd.plan.source import Document, Fault, Faults, collect, load, nearest, shown

ID = re.compile(r"[a-z0-9][a-z0-9.+-]{0,120}")
NOT_PAPERS = ("scales", "margins")
REDUCED = ("demo", "short")
STATISTICS = [
    "student",
    "best_student",
    "leader",
    "teacher",
    "ensemble",
    "disagreement",
    "correlation",
    "calibration",
    "logit_max",
    "logit_min",
    "logit_variance",
    "params",
    "params_training",
    "test_cost",
    "train_cost",
    "exchanged",
    "exchanged_gradients",
]
EXCHANGES = ("exchanged", "exchanged_gradients")
COSTS = ("params", "params_training", "test_cost", "train_cost", *EXCHANGES)


def _statistic(name: str) -> str:
    if name not in STATISTICS and not re.fullmatch(r"student_[0-9]+", name):
        raise ValueError(f"unknown statistic '{name}' (known: student_<i>, {', '.join(STATISTICS)})")
    return name


def _slug_like(name: str) -> str:
    if not ID.fullmatch(name):
        raise ValueError(f"{shown(name)} is not 1 to 121 lower-case letters, digits and . + -, the first a letter or digit")
    return name


Identifier = Annotated[str, AfterValidator(_slug_like)]
Statistic = Annotated[str, AfterValidator(_statistic)]
Number = int | float


class LearningRate(Strict):
    """One of three schedules; `warm_up` epochs of linear growth may come before."""

    multistep: list[Number] | None = None  # initial rate, then the epochs (0-based) at which it is divided by 10
    cosine: Number | None = None  # initial rate
    cycles: list[Number] | None = None  # initial rate, number of cosine cycles

    @model_validator(mode="after")
    def _one_of_three(self) -> "LearningRate":
        given = self.given
        if len(given) != 1:
            raise ValueError("give exactly one of multistep, cosine, cycles")
        name, rate = next(iter(given.items()))
        initial, *rest = rate if isinstance(rate, list) else [rate]
        if not 0 < initial <= 10:
            raise Misplaced(((name,), f"initial rate {initial} is not above 0 and at most 10"))
        if any(type(epoch) is not int for epoch in rest) or rest != sorted(set(rest)) or any(epoch < 1 for epoch in rest):
            raise Misplaced(((name,), f"{rest}: epochs must be whole, above 0 and rising"))
        if self.cycles is not None and len(rest) != 1:
            raise Misplaced((("cycles",), "must be [initial rate, number of cycles]"))
        return self

    @property
    def given(self) -> dict[str, Any]:
        return {name: value for name, value in self.model_dump().items() if value is not None}


class PerNetwork(Strict):
    lr: Number | None = Field(None, gt=0, le=10)
    weight_decay: Number | None = Field(None, ge=0, le=1)


class Recipe(Strict):
    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=2, le=65_536)
    lr: LearningRate
    momentum: Number = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: Number = Field(ge=0, le=1)
    per_network: dict[str, PerNetwork] = {}
    normalisation: dict[str, Normalisation] = {}  # by data set
    augmentation: dict[str, Augmentation] = {}  # by data set
    initialisation: Literal["code", "default"] = "code"
    dropout: Number = Field(0.0, ge=0, lt=1)
    warm_up: int = Field(0, ge=0)
    sync_batchnorm: bool = True

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        late = [epoch for epoch in (self.lr.multistep or [])[1:] if epoch >= self.epochs]
        if late:
            raise Misplaced((("lr", "multistep"), f"epoch {late[0]} is past the end ({self.epochs} epochs)"))
        if self.lr.cycles and self.epochs < self.lr.cycles[1]:
            raise Misplaced((("lr", "cycles"), f"{self.lr.cycles[1]} cycles need as many epochs, not {self.epochs}"))
        return self


class TeacherCell(Strict):
    network: str
    method: str
    reading: str | None = None


class Cell(Strict):
    """One cell as merged from table, row, column and exception; `options` are the method's own."""

    dataset: str | None = None
    network: str | None = None
    networks: list[str] | None = Field(None, min_length=1)
    method: str | None = None
    students: int | None = Field(None, ge=1, le=64)
    student: int | None = Field(None, ge=0)
    reading: str | None = None
    variant: Identifier | None = None
    statistic: Statistic = "student"
    unit: Literal["error", "accuracy", "points", "number"] = "error"
    top: Literal[1, 5] = 1
    mix: Literal["logits", "probabilities"] = "logits"
    join: int | None = Field(None, ge=2, le=64)
    difference: list[Annotated[list[str], Field(min_length=1)]] | None = Field(None, min_length=2, max_length=2)
    teacher: TeacherCell | None = None
    recipe: dict[str, Any] = {}
    options: dict[str, Value] = {}


class Table(Strict):
    id: Identifier
    title: str
    note: str = ""
    draw: Literal["curves", "dots", "heatmap", "soft-labels"] | None = None
    cell: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = Field(min_length=1)
    columns: dict[str, dict[str, Any]] = Field(min_length=1)
    exceptions: dict[str, dict[str, dict[str, Any] | None]] = {}
    published: dict[str, list[str | None]] = {}  # by row, as printed; null where the paper prints a blank

    @model_validator(mode="after")
    def _fits(self) -> "Table":
        wrong = list[Problem]()
        for kind, rows in (("exceptions", self.exceptions), ("published", self.published)):
            wrong += [((kind, row), _no_label("row", row, self.rows)) for row in rows if row not in self.rows]
        for row, columns in self.exceptions.items():
            wrong += [(("exceptions", row, name), _no_label("column", name, self.columns)) for name in columns if name not in self.columns]
        for row, values in self.published.items():
            if len(values) != len(self.columns):
                wrong.append((("published", row), f"{len(values)} values for {len(self.columns)} columns"))
            unread = [(index, value) for index, value in enumerate(values) if value is not None and unreadable(value)]
            wrong += [(("published", row, index), f"{shown(value)} {NOT_A_VALUE}, or a word without digits") for index, value in unread]
        if wrong:
            raise Misplaced(*wrong)
        return self


def _no_label(kind: str, label: str, known: Mapping[str, Any]) -> str:
    return f"there is no {kind} '{label}'{nearest(label, known)} ({kind}s: {', '.join(known)})"


class Remark(Strict):
    """An assumption (the paper leaves it open) or a deviation (we do it otherwise), and the cells it touches."""

    id: Identifier
    what: str
    why: str
    cells: list[str] = []


class Source(Strict):
    authors: str
    venue: str
    date: str | None = Field(None, pattern=r"^[0-9]{4}-[0-9]{2}$")  # when the printed version appeared; the report follows it
    arxiv: str | None = None
    doi: str | None = None
    code: str | None = None


class PaperFile(Strict):
    title: str
    label: str = ""  # what its readers call it; the file's name in capitals where it is not given
    source: Source
    recipe: dict[str, Any]
    methods: dict[str, dict[str, Value]] = {}  # how this paper runs a method where a cell does not say
    seeds: int = Field(ge=1, le=100)
    assumptions: list[Remark] = []
    deviations: list[Remark] = []
    claims: list[Claim] = []
    third_party: list[ThirdParty] = []
    tables: list[Table] = Field(min_length=1)


def read_papers(root: Path) -> dict[str, tuple[PaperFile, Document]]:
    """Every paper file by its name. Raises Faults of all files together."""
    found = (file for file in (root / "papers").iterdir() if file.suffix in (".yaml", ".yml") and file.stem not in NOT_PAPERS)
    files = sorted(file for file in found if not file.name.startswith(".#"))  # an editor's lock

    def read(file: Path) -> tuple[str, tuple[PaperFile, Document]]:
        if file.suffix != ".yaml":
            raise Faults([Fault(file=f"papers/{file.name}", line=0, key="", problem="must end with .yaml to be read")])
        if not ID.fullmatch(file.stem):  # it stands in the ids of runs
            raise Faults([Fault(file=f"papers/{file.name}", line=0, key="", problem="is not named by a-z, 0-9 and . + -")])
        if file.stem.partition("-")[0] in REDUCED:
            problem = f"must not begin with {' or '.join(REDUCED)}: so do the ids of reduced runs"
            raise Faults([Fault(file=f"papers/{file.name}", line=0, key="", problem=problem)])
        document = load(file, root)
        return file.stem, (validated(PaperFile, document), document)

    return dict(collect([lambda file=file: read(file) for file in files]))
