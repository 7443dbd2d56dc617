"""What the page says about the whole: counts, runs that need attention, the checklist."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from okd.evaluation.datasets import Datasets
from okd.evaluation.finding_records import ClaimRecord, Findings, RankRecord
from okd.evaluation.records import CellRecord, FigureData, PaperRecord, RemarkRecord, RunRecord, Summary, TableRecord
from okd.evaluation.same_experiment import SameExperiment
from okd.report.phrases import is_equal
from okd.report.states import ATTENTION, JUDGED, OUTCOMES, STATES


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that the report is made of, as read from reports/data/."""

    summary: Summary
    tables: list[TableRecord]
    figure_data: dict[str, FigureData]  # by table, where there is more to draw than its cells
    findings: Findings | None = None  # claims.json, where it is there
    same: SameExperiment | None = None  # same-experiment.json
    datasets: Datasets | None = None  # datasets.json
    sheets: dict[str, bytes] = field(default_factory=dict)  # contact sheets by data set, as JPEG
    data: str | None = "data"  # the folder as seen from the page; None where the page stands alone

    @cached_property
    def cells(self) -> list[CellRecord]:
        return [cell for table in self.tables for cell in table.cells]

    @cached_property
    def by_paper(self) -> dict[str, list[TableRecord]]:
        return {paper.name: [table for table in self.tables if table.id in paper.tables] for paper in self.summary.papers}

    @cached_property
    def runs(self) -> dict[str, tuple[RunRecord, list[CellRecord]]]:
        """Every run behind a cell, by id, with the cells that it is behind."""
        found: dict[str, tuple[RunRecord, list[CellRecord]]] = {}
        for cell in self.cells:
            for run in cell.runs:
                found.setdefault(run.id, (run, []))[1].append(cell)
        return dict(sorted(found.items()))

    @property
    def families(self) -> list["Family"]:
        """Runs that differ in nothing but their seed, together."""
        found: dict[str, list[RunRecord]] = {}
        for run, _ in self.runs.values():
            found.setdefault(run.id.removesuffix(f"-s{run.seed}"), []).append(run)
        return [Family(name=name, runs=runs, cell=self.runs[runs[0].id][1][0]) for name, runs in found.items()]

    @cached_property
    def to_look_at(self) -> list[tuple[RunRecord, list[CellRecord]]]:
        return [(run, cells) for run, cells in self.runs.values() if run.state in ATTENTION]

    @property
    def claims(self) -> list[ClaimRecord]:
        return self.findings.claims if self.findings else []

    @property
    def claims_by_urgency(self) -> list[ClaimRecord]:
        return sorted(self.claims, key=lambda claim: list(OUTCOMES).index(claim.outcome))

    @cached_property
    def trained(self) -> list[ClaimRecord]:
        """Claims that some training decides; the others are arithmetic or counted costs, and say nothing about a reproduction."""
        needs = {cell.address for cell in self.cells if cell.state != "counted"}
        return [claim for claim in self.claims_by_urgency if needs & set(claim.cells)]

    @property
    def untrained(self) -> list[ClaimRecord]:
        return [claim for claim in self.claims_by_urgency if claim not in self.trained]

    @property
    def tested(self) -> list[ClaimRecord]:
        """Those that some training decides, and whose cells are complete."""
        return [claim for claim in self.trained if claim.outcome != "not run"]

    def ranks(self, table: str) -> list[RankRecord]:
        """How methods rank, where any two that the paper separates are measured."""
        return [rank for rank in self.findings.ranks if rank.table == table and rank.compared] if self.findings else []

    @cached_property
    def addresses(self) -> set[str]:
        return {cell.address for cell in self.cells if cell.state != "paper blank"}

    @property
    def judged(self) -> int:
        return self.count(*JUDGED)

    def count(self, *states: str) -> int:
        return sum(self.summary.states.get(state, 0) for state in states)

    @property
    def done(self) -> int:
        return self.summary.runs.get("done", 0) + self.summary.runs.get("diverged", 0)

    @property
    def planned(self) -> int:
        return sum(self.summary.runs.values())

    @property
    def seconds(self) -> float:
        return sum(run.seconds or 0.0 for run, _ in self.runs.values())

    @property
    def devices(self) -> list[str]:
        return sorted({run.device for run, _ in self.runs.values() if run.device})

    @property
    def as_planned(self) -> int:
        """Cells with a number of ours whose runs differ in nothing from what is planned at the paper's scale."""
        return sum(cell.configuration is not None and not cell.configuration.unlike_paper for cell in self.cells if cell.ours)

    def touching(self, cell: CellRecord, kind: str) -> list[RemarkRecord]:
        """The assumptions or deviations of the cell's paper that touch it."""
        table = cell.address.partition("/")[0]
        return [one for paper in self.summary.papers if table in paper.tables for one in getattr(paper, kind) if one.covers(cell.address)]

    @property
    def deviations_of_numbers(self) -> int:
        """Deviations that touch at least one trained number on the page."""
        trained = [cell.address for cell in self.cells if cell.ours and cell.runs]
        return sum(any(map(remark.covers, trained)) for _, remark in self.remarks("deviations"))

    @property
    def with_number(self) -> int:
        return sum(cell.ours is not None and bool(cell.runs) for cell in self.cells)

    @property
    def counted(self) -> list[bool]:
        """Of the counted numbers that a paper prints: whether ours is equal as printed."""
        return [is_equal(cell) for cell in self.cells if cell.state == "counted" and cell.difference is not None]

    @property
    def number_states(self) -> list[tuple[str, int]]:
        """Cells with a published number that training is held against, by state."""
        states = [cell.state for cell in self.cells if cell.published is not None and cell.state != "counted"]
        return [(state, states.count(state)) for state in STATES if state in states]

    @property
    def run_counts(self) -> list[tuple[str, int]]:
        """Planned runs by state, the ended ones first."""
        order = ["done", "diverged", "failed", "running", "stale", "not run"]
        return sorted(self.summary.runs.items(), key=lambda one: order.index(one[0]) if one[0] in order else len(order))

    @property
    def first_with_number(self) -> str:
        return next(f"table-{table.id}" for table in self.tables if any(cell.ours and cell.runs for cell in table.cells))

    def label(self, name: str) -> str:
        """What a paper's readers call it."""
        return next((paper.label for paper in self.summary.papers if paper.name == name), "") or name.upper()

    @property
    def used_states(self) -> list[str]:
        return [state for state in STATES if state in self.summary.states]

    def remarks(self, kind: str) -> Iterable[tuple[PaperRecord, Any]]:
        return ((paper, remark) for paper in self.summary.papers for remark in getattr(paper, kind))

    @cached_property
    def compared(self) -> list[CellRecord]:
        """Cells whose number may be held against the published one, judged or not, the largest distance in margins first."""
        found = [cell for cell in self.cells if cell.difference is not None and cell.margin]
        return sorted(found, key=lambda cell: (-abs(cell.difference or 0.0) / (cell.margin or 1.0), cell.address))

    @property
    def distances(self) -> list[float]:
        return sorted(abs(cell.difference) for cell in self.compared if cell.difference is not None)

    @property
    def heading(self) -> str:
        """A count, by a fixed rule, and never an adjective."""
        if self.summary.scale == "paper" and self.tested:
            return f"{holding(self.trained)} of {len(self.trained)} claims reproduced"
        if self.judged:
            return f"{self.count('matches')} of {self.judged} judged cells match"
        if self.compared:
            return f"{_cells(len(self.compared))} measured, none with enough seeds to judge"
        if self.done:
            return f"{self.done} of {self.planned} planned runs are done"
        return f"{_cells(self.with_number)} measured, by reduced runs only" if self.with_number else "Nothing has been trained yet"

    @property
    def exceptions(self) -> list[str]:
        """At most four clauses: what a reader must know before any number."""
        clauses = [f"scale {self.summary.scale}: no trained number is judged"] if self.summary.scale != "paper" else []
        clauses += [f"{_cells(count)} {word}" for word in ("worse", "better") if (count := self.count(word))]
        if count := self.count("undecided", "cannot be decided"):
            clauses.append(f"{_cells(count)} undecided")
        if (count := self.count("too few seeds")) and self.judged:
            clauses.append(f"{_cells(count)} with too few seeds")
        if not self.tested and self.trained and self.summary.scale == "paper":
            clauses.append(f"none of the {len(self.trained)} claims that need training can be tested yet")
        if (count := self.count("reduced")) and self.summary.scale == "paper":
            clauses.append(f"{_cells(count)} from reduced runs, never judged")
        if self.to_look_at:
            clauses.append(f"{len(self.to_look_at)} run{'s need' if len(self.to_look_at) != 1 else ' needs'} attention")
        return clauses[:4]


@dataclass(frozen=True, kw_only=True)
class Family:
    """The runs of one spec over its seeds."""

    name: str
    runs: list[RunRecord]
    cell: CellRecord  # the first in which they stand

    @property
    def states(self) -> str:
        """Seeds by state: "done 0, 1; not run 2"."""
        by_state: dict[str, list[int]] = {}
        for run in sorted(self.runs, key=lambda run: run.seed):
            by_state.setdefault(run.state, []).append(run.seed)
        return "; ".join(f"{state} {', '.join(map(str, seeds))}" for state, seeds in by_state.items())

    @property
    def seconds(self) -> float:
        return sum(run.seconds or 0.0 for run in self.runs)


def holding(claims: Sequence[ClaimRecord]) -> int:
    return sum(claim.outcome == "reproduced" for claim in claims)


def outcome_counts(claims: Sequence[ClaimRecord]) -> list[tuple[str, int]]:
    outcomes = [claim.outcome for claim in claims]
    return [(word, outcomes.count(word)) for word in OUTCOMES if word in outcomes]


def _cells(count: int) -> str:
    return f"{count} cell{'s' if count != 1 else ''}"
