"""A table as a pandas frame, one line a cell: what the CSV holds, and what a notebook wants."""

import pandas as pd

from okd.evaluation.records import TableRecord
from okd.evaluation.units import unit_of


def table_frame(table: TableRecord) -> pd.DataFrame:
    """Ours (mean, spread, number of replicates), the published value, difference with 90 % interval, the state; in the cell's unit."""
    return pd.DataFrame(
        {
            "address": cell.address,
            "row": cell.row,
            "column": cell.column,
            "unit": unit_of(cell),
            "state": cell.state,
            "n": len(cell.ours.values) if cell.ours else 0,
            "planned": cell.planned,
            "ours": cell.ours.mean if cell.ours else None,
            "spread": cell.ours.spread if cell.ours else None,
            "published": cell.published,
            "published_spread": cell.published_spread,
            "printed": cell.printed,
            "difference": cell.difference,
            "low": cell.verdict.low if cell.verdict else None,
            "high": cell.verdict.high if cell.verdict else None,
            "margin": cell.margin,
        }
        for cell in table.cells
    )


def table_csv(table: TableRecord) -> str:
    return table_frame(table).to_csv(index=False, lineterminator="\n")
