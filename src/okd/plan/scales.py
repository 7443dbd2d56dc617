"""What scales demo and short force onto every run: papers/scales.yaml."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from okd.plan.catalog import Catalog, Strict, Value, catalog, unknown
from okd.plan.cells import PlacedCell, matches
from okd.plan.checks import misfits
from okd.plan.paper import Recipe
from okd.plan.schema import Problem, problems, validated
from okd.plan.source import Faults, load, nearest

# What a paper always says; epochs, batches and the rate belong together, and so the demo must say all three.
OF_PAPERS = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0}


class ScaleFile(Strict):
    class Demo(Strict):
        dataset: str
        seeds: int = Field(ge=1, le=100)
        recipe: dict[str, Any]
        options: dict[str, Value]
        cells: list[str]

    class Short(Strict):
        factor: float = Field(gt=0, le=1)
        seeds: int = Field(ge=1, le=100)

    demo: Demo
    short: Short


def read_scales(root: Path) -> ScaleFile:
    """Raises Faults."""
    return validated(ScaleFile, load(root / "papers" / "scales.yaml", root))


def check_scales(root: Path, cells: Iterable[PlacedCell] | None = None) -> None:
    """Raises Faults: at scale paper nobody would notice them. The demo's targets are looked up where the cells are given."""
    document = load(root / "papers" / "scales.yaml", root)
    demo = validated(ScaleFile, document).demo
    found = [*_problems(demo, catalog()), *(_unknown_targets(demo, list(cells)) if cells is not None else ())]
    if found:
        raise Faults(document.fault(("demo", *place), problem) for place, problem in found)


def _problems(demo: ScaleFile.Demo, known: Catalog) -> Iterator[Problem]:
    if demo.dataset not in known.datasets:
        yield ("dataset",), unknown("data set", demo.dataset, known.datasets)
    wrong = [(("recipe", *place), problem) for place, problem in problems(Recipe, OF_PAPERS | demo.recipe)]
    yield from wrong
    if demo.dataset in known.datasets and not wrong:
        for place, problem in misfits(demo.dataset, known.datasets[demo.dataset], demo.recipe, demo.options):
            yield place if place[0] == "recipe" else ("options", *place), problem
    options = {name: option for method in known.methods.values() for name, option in method.options.items()}
    for name, value in demo.options.items():
        if name not in options:
            yield ("options", name), f"no method has this option{nearest(name, options)}"
        elif problem := options[name].problem(value):
            yield ("options", name), problem


def _unknown_targets(demo: ScaleFile.Demo, cells: list[PlacedCell]) -> Iterator[Problem]:
    known = {cell.address for cell in cells} | {cell.table.id for cell in cells} | {cell.address.rpartition("/")[0] for cell in cells}
    for index, target in enumerate(demo.cells):
        if not any(matches(target, cell) for cell in cells):
            yield ("cells", index), f"nothing is called '{target}'{nearest(target, known)}"
