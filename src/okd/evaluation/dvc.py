"""Our tables as DVC people expect them: a flat map of numbers for `dvc metrics`, one line a cell for `dvc plots`."""

import csv
import io
from collections.abc import Iterable

from okd.evaluation.records import TableRecord
from okd.evaluation.units import unit_of

METRICS, CELLS = "metrics.json", "cells.csv"


def metrics(tables: Iterable[TableRecord]) -> dict[str, dict[str, float]]:
    """Ours by table and cell, where there is a number."""
    found = {table.id: {cell.address.partition("/")[2]: cell.ours.mean for cell in table.cells if cell.ours} for table in tables}
    return {table: cells for table, cells in found.items() if cells}


def cells_csv(tables: Iterable[TableRecord]) -> str:
    """Ours beside the published value, where both are there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["address", "table", "unit", "state", "published", "ours"])
    for table in tables:
        for cell in table.cells:
            if cell.ours and cell.published is not None:
                writer.writerow([cell.address, table.id, unit_of(cell), cell.state, cell.published, cell.ours.mean])
    return text.getvalue()
