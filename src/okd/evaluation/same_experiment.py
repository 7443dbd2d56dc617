"""Cells that several papers print under one name, side by side.

Data set, method and the network's name agree. Under that name papers may build other networks (which is shown), train for other lengths,
take groups of other sizes, and report the mean or the better of two students: the distance between papers holds all of that.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Literal

from okd.evaluation.records import Record, ThirdPartyRecord
from okd.evaluation.third_party import third_party_records
from okd.plan.cells import PlacedCell, networks_of
from okd.plan.paper import Cell
from okd.plan.published import PlacedValue

# Papers build different networks under the name ResNet-110; what the reader compares is the name.
CALLED_ALIKE = {"resnet164": "resnet110", "resnet110-bottleneck": "resnet110"}
SINGLE = ("student", "best_student")
Key = tuple[str, str, str, str]  # data set, network, method, measure


class SharedCell(Record):
    """What several papers print under one name: error in percent by paper, and the largest minus the smallest."""

    dataset: str
    network: str
    method: str
    measure: str  # top-1 error, top-5 error, top-1 error of the ensemble
    values: dict[str, float]
    printed: dict[str, str]
    addresses: dict[str, list[str]]
    range: float
    third_party: list[ThirdPartyRecord] = []  # as error, like the values
    networks: dict[str, str] = {}  # what we build for it, by paper

    @property
    def is_one_network(self) -> bool:
        return len(set(self.networks.values())) < 2


class SharedGain(Record):
    """What a method takes off the baseline's error, in every paper that prints both."""

    dataset: str
    network: str
    method: str
    values: dict[str, float]
    range: float


class SameExperiment(Record):
    """reports/data/same-experiment.json: the papers against each other, without a run of ours."""

    cells: list[SharedCell]
    gains: list[SharedGain]
    within_half: int  # cells whose papers lie within 0.5 points
    median: float | None
    worst: float | None
    version: Literal[1] = 1

    def widest(self, count: int) -> list[SharedCell]:
        """Those on which the papers differ most."""
        return sorted(self.cells, key=lambda cell: -cell.range)[:count]


def same_experiment(placed: Sequence[PlacedCell], third_party: Mapping[str, Sequence[PlacedValue]] | None = None) -> SameExperiment:
    """Every combination of data set, network and method that two or more papers print, as error; `third_party` is by address."""
    found: dict[Key, dict[str, list[PlacedCell]]] = {}
    for cell in placed:
        if key := _experiment(cell):
            found.setdefault(key, {}).setdefault(cell.paper, []).append(cell)
    cells = [_shared(key, papers, third_party or {}) for key, papers in found.items() if len(papers) > 1]
    ranges = [cell.range for cell in cells]
    return SameExperiment(
        cells=cells,
        gains=_gains(cells),
        within_half=sum(value <= 0.5 for value in ranges),
        median=round(median(ranges), 4) if ranges else None,
        worst=max(ranges, default=None),
    )


def _experiment(placed: PlacedCell) -> Key | None:
    """What makes two papers' cells comparable; None for a cell that is no error of a single network's training or its ensemble."""
    cell, published = placed.cell, placed.published
    if cell is None or published is None or published.value is None or cell.unit not in ("error", "accuracy"):
        return None
    if cell.difference or cell.join or cell.variant or cell.teacher or _reserved(cell):
        return None
    measure = {"student": "error", "best_student": "error", "ensemble": "error of the ensemble", "teacher": "error of the ensemble"}
    if cell.statistic not in measure:
        return None
    networks, network = networks_of(cell), _network(cell)
    if cell.method != "baseline" and len(set(networks)) > 1 and cell.method not in ("one", "clnn", "dml"):
        return None
    return (
        str(cell.dataset),
        CALLED_ALIKE.get(network, network),
        str(cell.method),
        f"top-{cell.top} {measure[cell.statistic]}",
    )


def _network(cell: Cell) -> str:
    return networks_of(cell)[(cell.student or 0) if cell.networks else 0]


def _reserved(cell: Cell) -> bool:
    """A snapshot ensemble's or an ablation's options make another experiment."""
    return cell.method in ("snapshot",) or "weight" in cell.options or "gate" in cell.options


def _error(placed: PlacedCell) -> float:
    assert placed.cell is not None and placed.published is not None and placed.published.value is not None
    value = placed.published.value
    return 100.0 - value if placed.cell.unit == "accuracy" else value


def _shared(key: Key, papers: Mapping[str, Sequence[PlacedCell]], third_party: Mapping[str, Sequence[PlacedValue]]) -> SharedCell:
    """A paper that repeats a cell with another value counts with the mean of its values."""
    values = {paper: round(mean(sorted({_error(cell) for cell in cells})), 4) for paper, cells in papers.items()}
    dataset, network, method, measure = key
    return SharedCell(
        dataset=dataset,
        network=network,
        method=method,
        measure=measure,
        values=values,
        printed={paper: cells[0].published.printed for paper, cells in papers.items() if cells[0].published},
        addresses={paper: [cell.address for cell in cells] for paper, cells in papers.items()},
        range=round(max(values.values()) - min(values.values()), 4),
        networks={paper: ", ".join(dict.fromkeys(_network(cell.cell) for cell in cells if cell.cell)) for paper, cells in papers.items()},
        third_party=_others([cell for cells in papers.values() for cell in cells], third_party),
    )


def _others(cells: Sequence[PlacedCell], third_party: Mapping[str, Sequence[PlacedValue]]) -> list[ThirdPartyRecord]:
    """Each source's value once, although several cells may be the same experiment."""
    records = [record for cell in cells for record in third_party_records(third_party.get(cell.address, []), "error")]
    return list({(record.source, record.printed, record.note): record for record in records}.values())


def _gains(cells: Sequence[SharedCell]) -> list[SharedGain]:
    """Baseline minus method, where at least two papers print both."""
    baselines = {(cell.dataset, cell.network, cell.measure): cell for cell in cells if cell.method == "baseline"}
    gains = list[SharedGain]()
    for cell in cells:
        base = baselines.get((cell.dataset, cell.network, cell.measure))
        if base is None or cell is base:
            continue
        values = {paper: round(base.values[paper] - value, 4) for paper, value in cell.values.items() if paper in base.values}
        if len(values) > 1:
            spread = round(max(values.values()) - min(values.values()), 4)
            gains.append(SharedGain(dataset=cell.dataset, network=cell.network, method=cell.method, values=values, range=spread))
    return gains
