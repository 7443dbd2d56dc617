"""Cells that nothing at the paper's scale has a number for, shown from reduced evidence: never judged."""

from collections.abc import Sequence

from okd.evaluation.records import TableRecord


def with_reduced(tables: Sequence[TableRecord], reduced: Sequence[TableRecord]) -> list[TableRecord]:
    """The tables with the reduced cells of others where their own have not been run."""
    known = {cell.address: cell for table in reduced for cell in table.cells if cell.state == "reduced"}
    return [
        table.model_copy(update={"cells": [known.get(cell.address, cell) if cell.state == "not run" else cell for cell in table.cells]})
        for table in tables
    ]
