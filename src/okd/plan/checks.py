"""Whether a paper's cells make sense: names, options and combinations that the schema alone cannot know."""

from collections.abc import Iterator, Mapping
from math import prod

from okd.plan.catalog import Catalog, MethodEntry, Value, unknown
from okd.plan.cells import CELL_FIELDS, PlacedCell, merge, networks_of, place_cells, stated_options
from okd.plan.paper import Cell, PaperFile, Recipe
from okd.plan.source import Document, Fault, Faults, Path, nearest, validated


def checked_cells(name: str, paper: PaperFile, document: Document, catalog: Catalog) -> list[PlacedCell]:
    """Every cell of a paper. Raises Faults of all of them together."""
    faults = list[Fault]()
    for method, options in paper.methods.items():
        if method not in catalog.methods:
            faults.append(document.fault(("methods", method), unknown("method", method, catalog.methods)))
        else:
            faults += _wrong_options(options, catalog.methods[method], method, document, ("methods", method))
    if faults:
        raise Faults(faults)
    cells = place_cells(name, paper, document)
    faults += [fault for placed in cells if placed.cell for fault in _problems(placed.cell, placed, paper, catalog)]
    if faults:
        raise Faults(faults)
    return cells


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
        yield from _wrong_options(stated, method, cell.method, placed.document, placed.origin, placed.address)
        if all(name in method.options or name in ("students", "reading") for name in stated):
            options = method.resolve(paper.methods.get(cell.method, {}), stated)
            yield from _wrong_combination(cell, method, options, placed)
    if (cell.teacher is not None) != method.taught and method.built:
        yield placed.fault(f"{cell.method} {'needs' if method.taught else 'takes no'} teacher: {{network: ..., method: ...}}", "teacher")
    if cell.teacher is not None:
        if cell.teacher.network not in catalog.networks:
            yield placed.fault(unknown("network", cell.teacher.network, catalog.networks), "teacher", "network")
        if cell.teacher.method not in catalog.methods:
            yield placed.fault(unknown("method", cell.teacher.method, catalog.methods), "teacher", "method")
        elif catalog.methods[cell.teacher.method].taught:
            yield placed.fault(f"a teacher cannot itself be taught ({cell.teacher.method})", "teacher", "method")
    try:
        validated(Recipe, placed.document, (*placed.origin, "recipe"), merge(paper.recipe, cell.recipe))
    except Faults as error:
        yield from error.faults


def _wrong_combination(cell: Cell, method: MethodEntry, options: Mapping[str, Value], placed: PlacedCell) -> Iterator[Fault]:
    kind, listed = method.group_kind(options), networks_of(cell)
    if kind == "networks" and len(listed) == 1 and int(options["students"]) < 2:
        yield placed.fault(f"{cell.method} needs at least two students", "students")
    if kind == "networks" and cell.networks and cell.students not in (None, len(listed)):
        yield placed.fault(f"students: {cell.students}, but {len(listed)} networks", "students")
    if kind != "networks" and cell.networks and cell.student is None:
        yield placed.fault(f"{cell.method} trains one of the networks: say which by student: 0 to {len(listed) - 1}", "student")
    if cell.student is not None and cell.networks and cell.student >= len(listed):
        yield placed.fault(f"student {cell.student} of {len(listed)} networks", "student")
    if cell.statistic == "leader" and not method.has_leader(options):
        yield placed.fault(f"{cell.method} has no leader here", "statistic")
    if method.has_leader(options) and int(options["students"]) < 2:
        yield placed.fault("a leader needs at least one peer", "students")
    if method.fork and int(options["students"]) != (leaves := prod(children for _, children in method.fork)):
        yield placed.fault(f"{cell.method} has {leaves} students", "students")
    if cell.join and (kind != "one" or method.taught):
        yield placed.fault("join combines independent runs of a one-network method", "join")


def _wrong_options(
    stated: Mapping[str, Value], method: MethodEntry, name: str, document: Document, at: Path, address: str = ""
) -> Iterator[Fault]:
    def fault(key: str, problem: str) -> Fault:
        return Fault(file=document.file, line=document.line((*at, key)), key=f"{address or '.'.join(map(str, at))}.{key}", problem=problem)

    if not method.built:
        return
    for key, value in stated.items():
        if key == "reading":
            if value not in method.readings:
                readings = ", ".join(method.readings) or "none"
                yield fault(key, f"{name} has no reading '{value}'{nearest(value, method.readings)} (readings: {readings})")
        elif key == "students":
            if type(value) is not int or value < 1:
                yield fault(key, f"{value!r} is not a whole number above 0")
        elif key not in method.options:
            known = (*CELL_FIELDS, *method.options)
            yield fault(key, f"{name} has no option '{key}'{nearest(key, known)} (options: {', '.join(method.options) or 'none'})")
        elif problem := method.options[key].problem(value):
            yield fault(key, problem)
