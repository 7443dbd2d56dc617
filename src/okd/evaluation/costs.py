"""Cells that need no training: parameters, operations and what students exchange, counted."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from okd.plan.catalog import Catalog
from okd.plan.cells import PlacedCell, merge, networks_of, stated_options
from okd.plan.paper import Cell, PaperFile
from okd.plan.price import group_cost

FLOAT, MEGABYTE, BOTH_WAYS = 4, 1e6, 2
UNIT_OF_COST = 1e8  # the papers' cost columns: operations of one image, in hundred millions


def cost_value(placed: PlacedCell, paper: PaperFile, catalog: Catalog) -> float:
    """Parameters, or operations in 1e8, of a cell whose network and method are built; KD's training counts its teacher."""
    cell = placed.cell
    assert cell is not None
    method, dataset = catalog.methods[str(cell.method)], catalog.datasets[str(cell.dataset)]
    options = method.resolve(paper.methods.get(str(cell.method), {}), stated_options(cell))
    kind, names, students = method.group_kind(options), networks_of(cell), int(options["students"])
    if kind == "networks" and not cell.networks:
        names = names * students
    names = [names[cell.student or 0]] if kind != "networks" and cell.networks else names
    cost = group_cost(names, classes=dataset.classes, size=dataset.size, fork=method.forks(options))
    joined, recipe = cell.join or 1, merge(paper.recipe, cell.recipe)
    deployed = joined * _snapshots(cell, recipe)
    taught = group_cost([cell.teacher.network], classes=dataset.classes, size=dataset.size) if cell.teacher else None
    match cell.statistic:
        case "params":
            return float(deployed * cost.deployed_parameters)
        case "params_training":
            return float(joined * cost.parameters + (taught.parameters if taught else 0))
        case "test_cost":
            return deployed * cost.deployed_flops / UNIT_OF_COST
        case "train_cost":
            return (joined * cost.flops + (taught.flops if taught else 0)) / UNIT_OF_COST
        case "exchanged":  # of one student in a cycle: a soft label for each training image, up and down
            return BOTH_WAYS * dataset.train * dataset.classes * FLOAT / MEGABYTE
        case "exchanged_gradients":  # if it sent and got gradients at each step of the same cycle instead
            steps = ceil(dataset.train / recipe["batch_size"]) * (int(options["t_in"]) + int(options["t_d"]))
            return BOTH_WAYS * cost.deployed_parameters * FLOAT * steps / MEGABYTE
    raise AssertionError(cell.statistic)


def _snapshots(cell: Cell, recipe: Mapping[str, Any]) -> int:
    """Networks that are kept and used together: of a Snapshot Ensemble one a cycle, trained at the cost of one."""
    return int(recipe["lr"].get("cycles", [0, 1])[1]) if cell.method == "snapshot" else 1


def as_printed(value: float, printed: str, decimals: int) -> float:
    """In the unit that the paper prints: "0.5M" counts millions."""
    return round(value / 1e6 if printed.rstrip().endswith("M") else value, decimals)
