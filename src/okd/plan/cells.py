"""From a table to its cells: merging layers, addresses, targets."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from okd.plan.catalog import Value
from okd.plan.paper import Cell, PaperFile, Table
from okd.plan.published import Published
from okd.plan.schema import problems
from okd.plan.source import Document, Fault, Faults, Path, collect, dotted, nearest, shown

MERGE_WHOLE = ("lr",)  # a schedule is one thing; the others merge key by key
OUR_FILES = ("summary", "claims", "metrics", "cells", "datasets", "manifest", "same-experiment")  # in reports/data, beside the tables
CELL_FIELDS = tuple(name for name in Cell.model_fields if name != "options")


@dataclass(frozen=True, kw_only=True)
class PlacedCell:
    """A merged cell where it stands. `cell` is None where the paper prints a dash and there is nothing to run."""

    paper: str
    table: Table
    row: str
    column: str
    cell: Cell | None
    published: Published | None
    document: Document
    origin: Path  # where the cell's last layer stands in the paper file
    sources: Mapping[Path, Path]  # for everything in the merged cell, where it was written last

    @property
    def address(self) -> str:
        return f"{self.table.id}/{slug(self.row)}/{slug(self.column)}"

    def fault(self, problem: str, *keys: str | int) -> Fault:
        """Shown where it was written: several cells may share it."""
        for length in range(len(keys), 0, -1):
            if source := self.sources.get(keys[:length]):
                path = (*source, *keys[length:])
                key = dotted((self.table.id, *path[2:]) if path[0] == "tables" else path)
                return Fault(file=self.document.file, line=self.document.line(path), key=key, problem=problem)
        return Fault(file=self.document.file, line=self.document.line(self.origin), key=dotted((self.address, *keys)), problem=problem)


def slug(label: str) -> str:
    """A label as it stands in an address: "w/o SA (random)" is "w-o-sa-random"."""
    return re.sub(r"[^a-z0-9.+]+", "-", label.lower()).strip("-")


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """`update` wins; nested maps merge, except a learning-rate schedule."""
    result = dict(base)
    for name, value in update.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and name not in MERGE_WHOLE:
            value = merge(old, value)
        result[name] = value
    return result


def place_cells(name: str, paper: PaperFile, document: Document) -> list[PlacedCell]:
    """Every cell of a paper's tables, merged. Raises Faults of all cells together."""
    if repeated := list(_repeated_labels(paper, document)):
        raise Faults(repeated)
    places = [(index, table, row, column) for index, table in enumerate(paper.tables) for row in table.rows for column in table.columns]
    return collect([lambda place=place: _place(name, document, *place) for place in places])


def _place(name: str, document: Document, index: int, table: Table, row: str, column: str) -> PlacedCell:
    at = ("tables", index)
    printed = table.published[row][list(table.columns).index(column)] if row in table.published else None
    published = Published.parse(printed) if printed is not None else None
    layers: list[tuple[Path, Mapping[str, Any]]] = [
        ((*at, "cell"), table.cell),
        ((*at, "rows", row), table.rows[row]),
        ((*at, "columns", column), table.columns[column]),
    ]
    exception = table.exceptions.get(row, {}).get(column, {})
    layers.append(((*at, "exceptions", row, column), exception or {}))
    merged: dict[str, Any] = {}
    origin: Path = layers[2][0]
    sources = {path: path for path in _paths(document.data.get("recipe"), ("recipe",))}  # what a cell's recipe is merged into
    for path, layer in layers:
        merged = merge(merged, layer)
        origin = path if layer else origin
        sources |= {place: (*path, *place) for place in _paths(layer)}
    placed = PlacedCell(
        paper=name, table=table, row=row, column=column, cell=None, published=published, document=document, origin=origin, sources=sources
    )
    return placed if exception is None else replace(placed, cell=_build(merged, placed))


def _paths(value: object, at: Path = ()) -> Iterator[Path]:
    """The place of everything inside a value."""
    yield at
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from _paths(part, (*at, key))


def _build(merged: Mapping[str, Any], placed: PlacedCell) -> Cell:
    """Split the merged map into the cell's fields and the method's options. Raises Faults."""
    fields = {name: value for name, value in merged.items() if name in CELL_FIELDS}
    options = {name: value for name, value in merged.items() if name not in CELL_FIELDS}
    faults = [
        placed.fault(f"{shown(value)} is not a number, a word, true or false", name) for name, value in options.items() if _nested(value)
    ]
    faults += [placed.fault(problem, *place) for place, problem in problems(Cell, fields)]
    if faults:
        raise Faults(faults)
    return Cell.model_validate(fields | {"options": options}, strict=True)


def _nested(value: object) -> bool:
    return value is None or isinstance(value, dict | list)


def networks_of(cell: Cell) -> list[str]:
    """The networks that a cell names, in order; one if it says `network`."""
    return list(cell.networks) if cell.networks else [cell.network] if cell.network else []


def stated_options(cell: Cell) -> dict[str, Value]:
    """What the cell itself says about its method: reading, students, options."""
    stated: dict[str, Value] = {}
    if cell.reading is not None:
        stated["reading"] = cell.reading
    if cell.students is not None:
        stated["students"] = cell.students
    return stated | cell.options


def check_tables(papers: Mapping[str, tuple[PaperFile, Document]]) -> None:
    """Raises Faults: a table's name begins addresses and names files, so no other table, paper or file of ours may have it."""
    seen, faults = dict[str, str](), list[Fault]()
    for paper, document in papers.values():
        for index, table in enumerate(paper.tables):
            problem = ""
            if table.id in seen:
                there = "here twice" if seen[table.id] == document.file else f"in {seen[table.id]} as well"
                problem = f"table '{table.id}' stands {there}"
            elif table.id in papers:
                problem = f"'{table.id}' is the name of a paper"
            elif table.id in OUR_FILES or table.id.endswith(".figure"):
                problem = f"'{table.id}' is the name of a file that `okd tables` writes (so are {', '.join(OUR_FILES)}, and *.figure)"
            if problem:
                faults.append(document.fault(("tables", index, "id"), problem))
            seen.setdefault(table.id, document.file)
    if faults:
        raise Faults(faults)


def _repeated_labels(paper: PaperFile, document: Document) -> Iterator[Fault]:
    for index, table in enumerate(paper.tables):
        for kind, labels in (("rows", table.rows), ("columns", table.columns)):
            slugs: dict[str, str] = {}
            for label in labels:
                if not slug(label):
                    yield document.fault(("tables", index, kind, label), "a label needs a letter or a digit")
                elif slug(label) in slugs:
                    other = slugs[slug(label)]
                    yield document.fault(("tables", index, kind, label), f"has the same address as '{other}': {slug(label)}")
                slugs[slug(label)] = label


def matches(target: str, placed: PlacedCell) -> bool:
    """Whether a target (a paper, a table, a row or a cell) covers this cell."""
    return target == placed.paper or target == placed.address or placed.address.startswith(target.rstrip("/") + "/")


def choose(
    cells: Iterable[PlacedCell], targets: Iterable[str], where: Document | None = None, claims: Mapping[str, set[str]] | None = None
) -> set[str]:
    """Addresses that the targets cover; `claims` are those of each claim. Raises Faults for a target that covers nothing."""
    cells, claims = list(cells), claims or {}
    known = {cell.paper for cell in cells} | {cell.table.id for cell in cells} | {cell.address for cell in cells}
    known |= {cell.address.rpartition("/")[0] for cell in cells} | set(claims)
    chosen, faults = set[str](), list[Fault]()
    for index, target in enumerate(targets):
        found = claims[target] if target in claims else {cell.address for cell in cells if matches(target, cell)}
        if not found and target not in claims:  # a claim may be plain arithmetic
            papers = ", ".join(sorted({cell.paper for cell in cells}))
            problem = f"nothing is called '{target}'{nearest(target, known) or f' (papers: {papers})'}"
            if where:
                faults.append(where.fault(("reproduce", index), problem))
            else:
                faults.append(Fault(file="target", line=0, key="", problem=problem))
        chosen |= found
    if faults:
        raise Faults(faults)
    return chosen
