"""Whether a paper's cells make sense: names, options and combinations that the schema alone cannot know."""

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

from okd.plan.catalog import Catalog, DatasetEntry, MethodEntry, Value, unknown
from okd.plan.cells import CELL_FIELDS, PlacedCell, matches, merge, networks_of, place_cells, stated_options
from okd.plan.paper import EXCHANGES, Cell, PaperFile, Recipe
from okd.plan.schema import Problem, problems
from okd.plan.source import Document, Fault, Faults, nearest, shown


def checked_cells(name: str, paper: PaperFile, document: Document, catalog: Catalog) -> list[PlacedCell]:
    """Every cell of a paper. Raises Faults of all of them together."""
    faults = list[Fault]()
    for method, options in paper.methods.items():
        if method not in catalog.methods:
            faults.append(document.fault(("methods", method), unknown("method", method, catalog.methods)))
        else:
            wrong = _wrong_options(options, catalog.methods[method], method)
            faults += [document.fault(("methods", method, *place), problem) for place, problem in wrong]
    if faults:
        raise Faults(faults)
    cells = place_cells(name, paper, document)
    faults += [fault for placed in cells if placed.cell for fault in _problems(placed.cell, placed, paper, catalog)]
    if faults:
        raise Faults(faults)
    return cells


def check_remarks(documents: Mapping[str, tuple[PaperFile, Document]], cells: Iterable[PlacedCell]) -> None:
    """Raises Faults: an assumption or a deviation touches cells of its paper that are not there."""
    cells, faults = list(cells), list[Fault]()
    for name, (paper, document) in documents.items():
        own = [cell for cell in cells if cell.paper == name]
        known = {part for cell in own for part in (cell.table.id, cell.address.rpartition("/")[0], cell.address)}
        for kind, remarks in (("assumptions", paper.assumptions), ("deviations", paper.deviations)):
            places = [(index, number, target) for index, remark in enumerate(remarks) for number, target in enumerate(remark.cells)]
            for index, number, target in places:
                if target not in known and not any(matches(target, cell) for cell in own):
                    problem = f"nothing in this paper is called '{target}'{nearest(target, known)}"
                    faults.append(document.fault((kind, index, "cells", number), problem))
    if faults:
        raise Faults(faults)


def _problems(cell: Cell, placed: PlacedCell, paper: PaperFile, catalog: Catalog) -> Iterator[Fault]:
    """Everything about a merged cell that the schema alone cannot know."""
    if cell.difference is not None:
        return
    if cell.dataset is None or cell.method is None or (cell.network is None) == (cell.networks is None):
        yield placed.fault("needs dataset, method, and either network or networks (or difference)")
        return
    if cell.dataset not in catalog.datasets:
        yield placed.fault(unknown("data set", cell.dataset, catalog.datasets), "dataset")
    for network in networks_of(cell):
        if network not in catalog.networks:
            yield placed.fault(unknown("network", network, catalog.networks), "network")
    if cell.method not in catalog.methods:
        yield placed.fault(unknown("method", cell.method, catalog.methods), "method")
        return
    method = catalog.methods[cell.method]
    if method.built:
        stated = stated_options(cell)
        if wrong := [placed.fault(problem, *place) for place, problem in _wrong_options(stated, method, cell.method)]:
            yield from wrong
        else:
            options = method.resolve(paper.methods.get(cell.method, {}), stated)
            yield from _wrong_combination(cell, method, options, placed)
            yield from _wrong_statistic(cell, method, options, placed, merge(paper.recipe, cell.recipe))
    if (cell.teacher is not None) != method.taught and method.built:
        yield placed.fault(f"{cell.method} {'needs' if method.taught else 'takes no'} teacher: {{network: ..., method: ...}}", "teacher")
    if cell.teacher is not None:
        if cell.teacher.network not in catalog.networks:
            yield placed.fault(unknown("network", cell.teacher.network, catalog.networks), "teacher", "network")
        if cell.teacher.method not in catalog.methods:
            yield placed.fault(unknown("method", cell.teacher.method, catalog.methods), "teacher", "method")
        elif catalog.methods[cell.teacher.method].taught:
            yield placed.fault(f"a teacher cannot itself be taught ({cell.teacher.method})", "teacher", "method")
        elif cell.teacher.reading is not None:
            reading = {"reading": cell.teacher.reading}
            wrong = _wrong_options(reading, catalog.methods[cell.teacher.method], cell.teacher.method)
            yield from (placed.fault(problem, "teacher", *place) for place, problem in wrong)
    recipe = merge(paper.recipe, cell.recipe)
    yield from (placed.fault(problem, "recipe", *place) for place, problem in _unknown_in_recipe(recipe, catalog))
    wrong = problems(Recipe, recipe)
    yield from (placed.fault(problem, "recipe", *place) for place, problem in wrong)
    if not wrong and cell.dataset in catalog.datasets and method.built:
        options = method.resolve(paper.methods.get(cell.method, {}), stated_options(cell))
        wrong = misfits(cell.dataset, catalog.datasets[cell.dataset], recipe, options)
        yield from (placed.fault(problem, *place) for place, problem in wrong)


def _unknown_in_recipe(recipe: Mapping[str, Any], catalog: Catalog) -> Iterator[Problem]:
    """Names in its maps that the catalog does not have: nothing would ever ask for them."""
    for field, kind, known in (
        ("per_network", "network", catalog.networks),
        ("normalisation", "data set", catalog.datasets),
        ("augmentation", "data set", catalog.datasets),
    ):
        names = recipe.get(field)
        for name in names if isinstance(names, Mapping) else ():
            if name not in known:
                yield (field, name), unknown(kind, name, known)


def misfits(name: str, dataset: DatasetEntry, recipe: Mapping[str, Any], options: Mapping[str, Value]) -> Iterator[Problem]:
    """Batches, held-out images and phases against the data set and the number of epochs."""
    batch, epochs = recipe["batch_size"], recipe["epochs"]
    if batch > dataset.train:
        yield ("recipe", "batch_size"), f"{batch} is more than the {dataset.train} training images of {name}"
    held_out = options.get("held_out", 0)
    if isinstance(held_out, int) and (dataset.train - held_out) % batch == 1:
        yield ("recipe", "batch_size"), f"{batch} leaves a last batch of one image, which BatchNorm cannot normalise"
    if isinstance(held_out, int) and (held_out >= dataset.train or held_out % dataset.classes):
        words = f"below {dataset.train} and a multiple of the {dataset.classes} classes of {name}"
        yield ("held_out",), f"{held_out} held-out images: must be {words}"
    phases = [options.get(length, 0) for length in ("t_in", "t_d")]
    if all(isinstance(length, int) for length in phases) and sum(map(int, phases)) > epochs:
        yield ("t_d",), f"t_in + t_d = {sum(map(int, phases))} epochs, but the run has {epochs}: nothing would be distilled"


def _wrong_combination(cell: Cell, method: MethodEntry, options: Mapping[str, Value], placed: PlacedCell) -> Iterator[Fault]:
    kind, listed = method.group_kind(options), networks_of(cell)
    students, leads = _num_students(cell, method, options), method.has_leader(options)
    if kind != "one" and students < 2:
        yield placed.fault(f"{cell.method} needs at least two students", "networks" if cell.networks else "students")
    if kind == "networks" and cell.networks and cell.students not in (None, len(listed)):
        yield placed.fault(f"students: {cell.students}, but {len(listed)} networks", "students")
    if kind != "networks" and cell.networks and cell.student is None:
        yield placed.fault(f"{cell.method} trains one of the networks: say which by student: 0 to {len(listed) - 1}", "student")
    if cell.student is not None and cell.networks and cell.student >= len(listed):
        yield placed.fault(f"student {cell.student} of {len(listed)} networks", "student")
    elif cell.student is not None and (kind == "networks" or not cell.networks) and cell.student >= (peers := students - leads):
        yield placed.fault(
            f"student {cell.student}, but {cell.method} has {peers} here, counted from 0{', and a leader' * leads}", "student"
        )
    if leads and students < 2:
        yield placed.fault("a leader needs at least one peer", "students")
    if method.fork and int(options["students"]) != (leaves := prod(children for _, children in method.fork)):
        yield placed.fault(f"{cell.method} has {leaves} students", "students")
    if cell.join and (kind != "one" or method.taught):
        yield placed.fault("join combines independent runs of a one-network method", "join")


def _wrong_statistic(
    cell: Cell, method: MethodEntry, options: Mapping[str, Value], placed: PlacedCell, recipe: Mapping[str, Any]
) -> Iterator[Fault]:
    """A statistic of rows that the method's predictions will not have."""
    peers = _num_students(cell, method, options) - method.has_leader(options)
    if cell.statistic in EXCHANGES and "t_d" not in method.options:
        yield placed.fault(f"{cell.method} has no phases between which anything is exchanged", "statistic")
    if cell.statistic == "leader" and not method.has_leader(options):
        yield placed.fault(f"{cell.method} has no leader here", "statistic")
    if cell.statistic == "teacher" and not (method.answers or method.taught):
        yield placed.fault(f"{cell.method} has no teacher that makes predictions of its own", "statistic")
    if cell.statistic.startswith("student_") and int(cell.statistic.removeprefix("student_")) >= peers:
        yield placed.fault(f"{cell.method} has no {cell.statistic} here (the last is student_{peers - 1})", "statistic")
    cycles = rate.get("cycles") if method.snapshots and isinstance(rate := recipe.get("lr"), Mapping) else None
    members = cycles[-1] if isinstance(cycles, list) and cycles else peers
    if cell.statistic in ("disagreement", "correlation") and members == 1 and cell.join is None:
        yield placed.fault(f"{cell.statistic} needs at least two members, and {cell.method} has one here", "statistic")


def _num_students(cell: Cell, method: MethodEntry, options: Mapping[str, Value]) -> int:
    """The leader counts."""
    return len(networks_of(cell)) if method.group_kind(options) == "networks" and cell.networks else int(options["students"])


def _wrong_options(stated: Mapping[str, Value], method: MethodEntry, name: str) -> Iterator[Problem]:
    if not method.built:
        return
    for key, value in stated.items():
        if key == "reading":
            if value not in method.readings:
                readings = ", ".join(method.readings) or "none"
                yield (key,), f"{name} has no reading {shown(value)}{nearest(value, method.readings)} (readings: {readings})"
        elif key == "students":
            if type(value) is not int or value < 1:
                yield (key,), f"{shown(value)} is not a whole number above 0"
        elif key not in method.options:
            known = (*CELL_FIELDS, *method.options)
            yield (key,), f"{name} has no option '{key}'{nearest(key, known)} (options: {', '.join(method.options) or 'none'})"
        elif problem := method.options[key].problem(value):
            yield (key,), problem
