"""Rank agreement: of the pairs of cells that a paper separates, how many keep their order in our numbers."""

from itertools import combinations
from math import isnan, sqrt

from scipy.stats import kendalltau

from okd.evaluation.effects import Cells
from okd.evaluation.finding_records import RankRecord
from okd.evaluation.judgement import JUDGED
from okd.evaluation.records import CellRecord, TableRecord
from okd.evaluation.verdict import ASSUMED_N
from okd.plan.cells import networks_of
from okd.plan.paper import Cell

FEWEST = 3  # cells in a ranking
SEPARATED = 2.0  # standard errors of the difference


def rankings(tables: list[TableRecord], cells: Cells) -> list[RankRecord]:
    """One ranking for each network, data set and unit of a table, where it prints at least three methods."""
    found = list[RankRecord]()
    for table in tables:
        groups: dict[tuple, list[CellRecord]] = {}
        for record in table.cells:
            cell = cells.planned[record.address].placed.cell
            if cell and record.published is not None and record.address in cells.margins:
                groups.setdefault(_subject(cell), []).append(record)
        found += [_ranking(table.id, key, group, cells) for key, group in groups.items() if len(group) >= FEWEST]
    return found


def _subject(cell: Cell) -> tuple:
    networks = networks_of(cell)
    at = (cell.student or 0) if cell.networks else 0
    network = networks[at] if cell.student is not None or len(set(networks)) == 1 else ", ".join(networks)
    return network, cell.dataset, cell.unit, cell.top


def _ranking(table: str, key: tuple, group: list[CellRecord], cells: Cells) -> RankRecord:
    network, dataset, unit, top = key
    pairs = [pair for pair in combinations(group, 2) if _separates(*pair, cells)]
    done = [record for record in group if record.state in JUDGED and record.ours]
    ours = {record.address: record.ours.mean for record in done if record.ours}
    compared = [(a, b) for a, b in pairs if a.address in ours and b.address in ours]
    kept = sum((_value(a) - _value(b)) * (ours[a.address] - ours[b.address]) > 0 for a, b in compared)
    best, same = (min if unit == "error" else max), None
    if len(done) == len(group):
        same = best(group, key=_value).address == best(ours, key=lambda address: ours[address])
    return RankRecord(
        table=table,
        label=f"{network}, {dataset}" + (f", top-{top}" if top != 1 else ""),
        cells=len(group),
        separated=len(pairs),
        compared=len(compared),
        kept=kept,
        same_best=same,
        tau=_tau([_value(record) for record in done], list(ours.values())),
    )


def _value(record: CellRecord) -> float:
    assert record.published is not None
    return record.published


def _separates(a: CellRecord, b: CellRecord, cells: Cells) -> bool:
    """By two standard errors where both spreads are printed, else by the cells' margin."""
    distance = abs(_value(a) - _value(b))
    if a.published_spread is not None and b.published_spread is not None:
        return distance > SEPARATED * sqrt((a.published_spread**2 + b.published_spread**2) / ASSUMED_N)
    return distance > cells.margins[a.address]


def _tau(published: list[float], ours: list[float]) -> float | None:
    if len(ours) < FEWEST:
        return None
    tau, _ = kendalltau(published, ours)
    tau = float(tau)  # pyright: ignore[reportArgumentType]
    return None if isnan(tau) else round(tau, 3)
