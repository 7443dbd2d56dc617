"""The papers' tables with our numbers in them: every cell gets a state, every number its runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from okd.evaluation.cell_state import state_of
from okd.evaluation.configuration import configuration, recipe_of
from okd.evaluation.costs import as_printed, cost_value
from okd.evaluation.evidence import NotInEvidence
from okd.evaluation.figuredata import figure_data
from okd.evaluation.history import best_epoch_error
from okd.evaluation.judgement import Results, judged
from okd.evaluation.outcomes import Outcome, outcome, student_of, value_of
from okd.evaluation.records import (
    CellRecord,
    Citation,
    Configuration,
    FigureData,
    Measured,
    PaperRecord,
    RemarkRecord,
    Summary,
    TableRecord,
)
from okd.evaluation.scores import collapsed
from okd.evaluation.third_party import third_party_records
from okd.plan.catalog import catalog
from okd.plan.cells import matches
from okd.plan.margins import read_margins
from okd.plan.paper import COSTS, Cell, PaperFile
from okd.plan.planner import Plan, PlannedCell

LAST_EPOCH = "last-epoch"  # how the papers' files call this remark
ERRORS = ("student", "best_student", "leader", "teacher", "ensemble")


class Evaluation:
    """A plan and what has become of its runs."""

    def __init__(
        self, root: Path, plan: Plan, *, reproduce: Sequence[str], paper_plan: Plan | None = None, evidence_only: bool = False
    ) -> None:
        self.root, self.plan, self.reproduce, self.evidence_only = root, plan, list(reproduce), evidence_only
        self.outcomes: Mapping[str, Outcome] = {run.id: outcome(root, run, local=not evidence_only) for run in plan.runs.values()}
        self.by_address = {cell.address: cell for cell in plan.cells}
        self.paper_plan = paper_plan or plan  # the same cells at scale paper, to say how the runs differ from it
        self.paper_runs = {cell.address: cell.runs[0] for cell in self.paper_plan.cells if cell.runs}

    def tables(self) -> list[TableRecord]:
        margins, results, best_epochs = self.judged_margins(), self.results(), self.reported_at_best_epoch()
        return [judged(table, margins, results, best_epochs) for table in self._tables()]

    def reported_at_best_epoch(self) -> set[str]:
        """Cells whose published value is, or may be, that of the best epoch: those under a paper's remark on the last one."""
        papers = self.plan.papers.values()
        targets = [
            one for paper in papers for remark in (*paper.assumptions, *paper.deviations) if remark.id == LAST_EPOCH for one in remark.cells
        ]
        return {cell.address for cell in self.plan.cells if any(matches(target, cell.placed) for target in targets)}

    def results(self) -> Results:
        """The single result that a cell shows, by address: runs, statistic and row. Differences, costs and other numbers are none."""
        cells = [(planned, planned.placed.cell) for planned in self.plan.cells if planned.replicates]
        return {
            planned.address: (planned.replicates, cell.statistic, cell.mix, cell.top, student_of(cell, self.plan.runs[planned.runs[0]]))
            for planned, cell in cells
            if cell and _is_error(cell) and not cell.difference
        }

    def judged_margins(self) -> dict[str, float]:
        """By address, for the cells that are judged: errors and accuracies of runs that are not reduced."""
        by_dataset = read_margins(self.root)
        cells = [(planned.address, planned.placed.cell) for planned in self.plan.cells]
        return {
            address: by_dataset[cell.dataset]
            for address, cell in cells
            if cell and cell.dataset in by_dataset and cell.unit in ("error", "accuracy") and not cell.difference
        }

    def _tables(self) -> list[TableRecord]:
        return [
            TableRecord(
                id=table.id,
                paper=name,
                title=table.title,
                note=table.note,
                draw=table.draw,
                unit=str(table.cell.get("unit", "error")),
                rows=list(table.rows),
                columns=list(table.columns),
                cells=[self.cell(cell) for cell in self.plan.cells if cell.placed.table.id == table.id],
            )
            for name, paper in self.plan.papers.items()
            for table in paper.tables
        ]

    def summary(self, tables: Sequence[TableRecord]) -> Summary:
        done = [self.outcomes[run] for run in self.plan.chosen]
        hashes = {f"{one.run.dataset.name} {split} {digest}" for one in done if one.result for split, digest in one.result["data"].items()}
        return Summary(
            scale=self.plan.scale,
            reproduce=self.reproduce,
            papers=[_paper(name, paper) for name, paper in sorted(self.plan.papers.items(), key=_by_date)],
            states=dict(sorted(Counter(cell.state for table in tables for cell in table.cells).items())),
            runs=dict(sorted(Counter(one.record.state for one in done).items())),
            data=sorted(hashes),
            margins=read_margins(self.root),
            evidence_only=self.evidence_only,
        )

    def figures(self) -> dict[str, tuple[FigureData, str]]:
        """By table, what figures show beyond the table's cells, and all of it as CSV."""
        found = {}
        for table in (table for paper in self.plan.papers.values() for table in paper.tables if table.draw in ("curves", "soft-labels")):
            cells = [cell for cell in self.plan.cells if cell.placed.table.id == table.id and not cell.reason]
            if data := figure_data(self.root, table, [(cell, self.finished(cell)) for cell in cells]):
                found[table.id] = data
        return found

    def finished(self, planned: PlannedCell) -> list[list[Outcome]]:
        replicates = [[self.outcomes[run] for run in replicate] for replicate in planned.replicates]
        return [replicate for replicate in replicates if all(one.record.state == "done" for one in replicate)]

    def cell(self, planned: PlannedCell) -> CellRecord:
        cell, published = planned.placed.cell, planned.placed.published
        replicates = [[self.outcomes[run] for run in replicate] for replicate in planned.replicates]
        done = [index for index, replicate in enumerate(replicates) if all(one.record.state == "done" for one in replicate)]
        finished = [index for index in done if self._holds(planned, index)] if cell else []
        ours = best = None
        if cell is not None and not planned.reason:
            ours, best = self._measure(planned, cell, finished)
        near_chance = sum(self._near_chance(planned, index) for index in finished)
        state, detail = state_of(planned, replicates, finished=len(finished), near_chance=near_chance, scale=self.plan.scale)
        if len(finished) < len(done) and not detail:
            detail = "the evidence of its runs does not hold this statistic"
        return CellRecord(
            address=planned.address,
            row=planned.placed.row,
            column=planned.placed.column,
            state=state,
            detail=detail,
            statistic=cell.statistic if cell else "",
            unit=cell.unit if cell else "",
            planned=len(replicates),
            ours=ours,
            best_epoch=best,
            printed=published.printed if published else None,
            published=published.value if published else None,
            published_spread=published.spread if published else None,
            decimals=published.decimals if published and published.value is not None else 2,
            runs=[self.outcomes[run].record for run in planned.runs],
            seeds=[replicates[index][0].run.seed for index in finished],
            configuration=self._configuration(planned, cell) if cell and planned.runs else None,
            third_party=third_party_records(self.plan.third_party.get(planned.address, []), cell.unit if cell else ""),
        )

    def _configuration(self, planned: PlannedCell, cell: Cell) -> Configuration:
        at_paper, run = self.paper_plan.runs.get(self.paper_runs.get(planned.address, "")), self.plan.runs[planned.runs[0]]
        others = (found for run_id in planned.runs if (found := self.outcomes[run_id].numerics) != run.numerics)
        return configuration(replace(run, numerics=next(others, run.numerics)), at_paper, cell)

    def _holds(self, planned: PlannedCell, index: int) -> bool:
        """Whether the statistic of a finished replicate can be had: evidence holds only what cells asked for when it was written."""
        try:
            self._value(planned, planned.placed.cell, index) if planned.placed.cell else None
        except NotInEvidence:
            return False
        return True

    def _near_chance(self, planned: PlannedCell, index: int) -> bool:
        """Whether a finished replicate's error, or one that a difference is made of, is no better than guessing."""
        cell = planned.placed.cell
        if cell is None:
            return False
        if cell.difference is not None:
            return any(self._near_chance(self.by_address[address], index) for side in cell.difference for address in side)
        if not _is_error(cell):
            return False
        runs = planned.replicates[index]
        return collapsed(value_of(self.root, cell, [self.outcomes[run] for run in runs]), self.plan.runs[runs[0]].classes, cell.top)

    def _measure(self, planned: PlannedCell, cell: Cell, finished: list[int]) -> tuple[Measured | None, Measured | None]:
        if cell.statistic in COSTS and cell.difference is None:
            value = cost_value(planned.placed, self.plan.papers[planned.placed.paper], catalog())
            published = planned.placed.published
            return _measured([as_printed(value, published.printed, published.decimals) if published else value]), None
        values = [self._value(planned, cell, index) for index in finished]
        replicates = [[self.outcomes[run] for run in planned.replicates[index]] for index in finished]
        best = [_in_unit(cell, value) for one in replicates if (value := best_epoch_error(self.root, cell, one)) is not None]
        return _measured(values), _measured(best) if len(best) == len(values) else None

    def _value(self, planned: PlannedCell, cell: Cell, index: int) -> float:
        """A replicate's value in the cell's unit; a difference is summed within the replicate first."""
        if cell.difference is None:
            return _in_unit(cell, value_of(self.root, cell, [self.outcomes[run] for run in planned.replicates[index]]))
        sides = [[self._part(address, index) for address in side] for side in cell.difference]
        return sum(sides[0]) - sum(sides[1])

    def _part(self, address: str, index: int) -> float:
        part = self.by_address[address]
        assert part.placed.cell is not None
        return self._value(part, part.placed.cell, index)


def _in_unit(cell: Cell, value: float) -> float:
    """Statistics of errors are kept as errors; a table that prints accuracy shows 100 minus them."""
    return 100.0 - value if _is_error(cell) and cell.unit == "accuracy" else value


def _is_error(cell: Cell) -> bool:
    return cell.statistic in ERRORS or cell.statistic.startswith("student_")


def _measured(values: list[float]) -> Measured | None:
    if not values:
        return None
    rounded = [round(value, 6) for value in values]
    return Measured(mean=round(mean(values), 6), spread=round(stdev(values), 6) if len(values) > 1 else None, values=rounded)


def _by_date(named: tuple[str, PaperFile]) -> tuple[str, str]:
    """Papers in the order in which they appeared, those without a date last."""
    name, paper = named
    return paper.source.date or "9999", name


def _paper(name: str, paper: PaperFile) -> PaperRecord:
    source = paper.source
    where = [source.authors, source.venue, f"arXiv {source.arxiv}" if source.arxiv else "", f"doi {source.doi}" if source.doi else ""]
    remarks = {
        kind: [RemarkRecord(id=remark.id, what=remark.what, why=remark.why, cells=remark.cells) for remark in getattr(paper, kind)]
        for kind in ("assumptions", "deviations")
    }
    return PaperRecord(
        name=name,
        label=paper.label or name.upper(),
        title=paper.title,
        source=". ".join(part for part in where if part),
        tables=[table.id for table in paper.tables],
        citation=Citation(authors=source.authors, venue=source.venue, arxiv=source.arxiv, doi=source.doi, code=source.code),
        recipe=recipe_of(paper),
        **remarks,
    )
