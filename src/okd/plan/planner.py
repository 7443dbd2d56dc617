"""From papers, scale and targets to the plan: which cells, which runs, and what is not built yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from okd.plan.catalog import catalog
from okd.plan.cells import PlacedCell, check_tables, choose, matches
from okd.plan.checks import check_remarks, checked_cells, misfits
from okd.plan.comparisons import PlacedClaim, place_claims
from okd.plan.paper import COSTS, ID, Cell, PaperFile, read_papers
from okd.plan.published import PlacedValue, place_third_party
from okd.plan.resolve import Resolver
from okd.plan.run import Run
from okd.plan.scales import read_scales
from okd.plan.settings import Project
from okd.plan.source import Document, Fault, Faults, collect, nearest
from okd.plan.supplied import supplied

NOT_RUN, BLANK, NOT_BUILT, NO_DATA = "not run", "paper blank", "not built yet", "data not available"


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell and the runs behind it: one replicate per seed, each of one run, or of several that are joined."""

    placed: PlacedCell
    replicates: tuple[tuple[str, ...], ...] = ()
    reason: str = ""  # why there are no runs: one of the words above, then what is missing
    waiting: tuple[str, ...] = ()  # ids of the runs that there will be when it is there: results of them may be

    @property
    def address(self) -> str:
        return self.placed.address

    @property
    def runs(self) -> list[str]:
        return list(dict.fromkeys(run for replicate in self.replicates for run in replicate))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All cells at one scale, all runs that they could need, and the ones that are chosen."""

    scale: str
    papers: Mapping[str, PaperFile]
    cells: list[PlannedCell]
    runs: dict[str, Run]  # every run of every cell, chosen or not
    chosen: list[str]  # ids of the runs to do, teachers before the runs that they teach
    addresses: set[str]  # chosen cells
    claims: list[PlacedClaim]  # of all papers
    third_party: Mapping[str, list[PlacedValue]]  # by address

    @property
    def to_do(self) -> list[Run]:
        return [self.runs[run] for run in self.chosen]

    def decided(self) -> list[PlacedClaim]:
        """Claims that the plan would decide: their cells are all chosen, or need no runs; reduced runs decide nothing."""

        def is_ready(cell: PlannedCell) -> bool:
            return not cell.reason and (not cell.replicates or (cell.address in self.addresses and self.scale == "paper"))

        ready = {cell.address for cell in self.cells if is_ready(cell)}
        return [claim for claim in self.claims if set(claim.addresses) <= ready]


def make_plan(project: Project, *, scale: str | None = None, targets: Iterable[str] | None = None) -> Plan:
    """Read the papers and expand their cells. Raises Faults of all files together."""
    known, settings = catalog(), project.settings
    documents = read_papers(project.root)
    papers = {name: paper for name, (paper, _) in documents.items()}
    check_tables(documents)
    parts = collect([lambda name=name: checked_cells(name, *documents[name], known) for name in documents])
    placed = [cell for cells in parts for cell in cells]
    claims, third_party = _about_cells(documents, placed)
    cells_of = {claim.claim.id: set(claim.addresses) for claim in claims}
    where, wanted = (project.document, settings.reproduce) if targets is None else (None, targets)
    addresses = choose(placed, wanted, where, cells_of)
    expander = _Expander(
        Resolver(
            scale=scale or settings.scale,
            numerics=settings.numerics_at(scale or settings.scale),
            scales=read_scales(project.root),
            papers=papers,
            catalog=known,
            supplied=supplied(project.root, known),
        ),
        settings.seeds,
    )
    cells = expander.with_differences([expander.expand(cell) for cell in placed])
    chosen = dict.fromkeys(run for cell in cells if cell.address in addresses for run in cell.runs)
    runs = expander.runs
    teachers = dict.fromkeys(teacher for run in chosen if (teacher := runs[run].teacher))
    return Plan(
        scale=expander.resolver.scale,
        papers=papers,
        cells=cells,
        runs=runs,
        chosen=sorted(teachers | chosen, key=lambda run: runs[run].teacher is not None),
        addresses=addresses,
        claims=claims,
        third_party=third_party,
    )


def _about_cells(
    documents: Mapping[str, tuple[PaperFile, Document]], placed: list[PlacedCell]
) -> tuple[list[PlacedClaim], dict[str, list[PlacedValue]]]:
    """Claims, and what others measured, with their cells. Raises Faults of these and of the remarks together."""
    owners = {cell.address: cell.paper for cell in placed}

    def measured() -> dict[str, list[PlacedValue]]:
        return place_third_party(((name, paper.third_party, document) for name, (paper, document) in documents.items()), owners)

    try:
        check_remarks(documents, placed)
        return place_claims(documents, placed), measured()
    except Faults:
        collect([lambda: check_remarks(documents, placed), lambda: place_claims(documents, placed), measured])
        raise


class _Expander:
    """Turns placed cells into runs, sharing equal ones and refusing one id with two meanings."""

    def __init__(self, resolver: Resolver, seeds: int | None) -> None:
        self.resolver, self.seeds = resolver, seeds
        self.runs: dict[str, Run] = {}
        self.first_use: dict[str, PlacedCell] = {}
        self.faults: list[Fault] = []

    def expand(self, placed: PlacedCell) -> PlannedCell:
        cell = placed.cell
        if cell is None:
            return PlannedCell(placed=placed, reason=BLANK)
        if cell.difference is not None:
            return PlannedCell(placed=placed)
        if missing := self.resolver.missing(cell):
            return PlannedCell(placed=placed, reason=f"{NOT_BUILT}: {missing}", waiting=self._waiting(placed, cell))
        if cell.statistic in COSTS:
            return PlannedCell(placed=placed)
        if self.resolver.demo and not any(matches(target, placed) for target in self.resolver.scales.demo.cells):
            return PlannedCell(placed=placed, reason=NOT_RUN)
        if name := self.resolver.unsupplied(cell):
            reason = f"{NO_DATA}: set data.folder, run `okd fetch {name}`, then `okd plan`"
            return PlannedCell(placed=placed, reason=reason, waiting=self._waiting(placed, cell))
        joined = cell.join or 1
        return PlannedCell(
            placed=placed,
            replicates=tuple(
                tuple(self._run(placed, cell, seed).id for seed in range(index * joined, (index + 1) * joined))
                for index in range(self._num_replicates(placed.paper))
            ),
        )

    def _waiting(self, placed: PlacedCell, cell: Cell) -> tuple[str, ...]:
        cells = [cell, *([self.resolver.teacher_cell(placed, cell)] if cell.teacher else [])]
        seeds = range(self._num_replicates(placed.paper) * (cell.join or 1))
        return tuple(self.resolver.run_id(placed.paper, one, seed) for one in cells for seed in seeds)

    def with_differences(self, cells: list[PlannedCell]) -> list[PlannedCell]:
        """Give differences the runs of the cells that they name. Raises everything that was found wrong."""
        by_address = {cell.address: cell for cell in cells}
        cells = [self._difference(cell, by_address) if cell.placed.cell and cell.placed.cell.difference else cell for cell in cells]
        if self.faults:
            raise Faults(self.faults)
        return cells

    def _difference(self, cell: PlannedCell, by_address: Mapping[str, PlannedCell]) -> PlannedCell:
        assert cell.placed.cell and cell.placed.cell.difference
        named = [address for side in cell.placed.cell.difference for address in side]
        for name in named:
            if name not in by_address:
                self.faults.append(cell.placed.fault(f"there is no cell '{name}'{nearest(name, by_address)}", "difference"))
            elif (other := by_address[name].placed.cell) and other.difference:
                self.faults.append(cell.placed.fault(f"'{name}' is itself a difference: name what it is made of", "difference"))
        parts = [by_address[name] for name in named if name in by_address]
        if reason := next((part.reason for part in parts if part.reason), ""):
            return replace(cell, reason=reason)
        count = min((len(part.replicates) for part in parts), default=0)
        return replace(
            cell,
            replicates=tuple(tuple(dict.fromkeys(run for part in parts for run in part.replicates[index])) for index in range(count)),
        )

    def _num_replicates(self, paper: str) -> int:
        scales = self.resolver.scales
        base = {"demo": scales.demo.seeds, "short": scales.short.seeds}.get(self.resolver.scale, self.resolver.papers[paper].seeds)
        return max(base, self.seeds or 0)

    def _run(self, placed: PlacedCell, cell: Cell, seed: int) -> Run:
        teacher = self._run(placed, self.resolver.teacher_cell(placed, cell), seed) if cell.teacher else None
        run = self.resolver.run(placed.paper, cell, seed, teacher)
        if self.resolver.demo:  # elsewhere the paper file itself was checked
            dataset = self.resolver.catalog.datasets[run.dataset.name]
            wrong = misfits(run.dataset.name, dataset, vars(run.recipe), run.method.options)
            self.faults += [placed.fault(f"at scale demo: {problem}", *place) for place, problem in wrong]
        old = self.runs.setdefault(run.id, run)
        first = self.first_use.setdefault(run.id, placed)
        if old != run:
            differing = ", ".join(name for name in run.spec if run.spec[name] != old.spec.get(name))
            self.faults.append(
                placed.fault(f"differs from {first.address} in {differing}, but both runs are called {run.id}: give one a `variant`")
            )
        if not ID.fullmatch(run.id):
            self.faults.append(placed.fault(f"its run would be called '{run.id}': too long, or characters other than a-z 0-9 . + -"))
        return run
