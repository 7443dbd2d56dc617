"""Which figures there are, what each shows in words, and its data as lines of a table."""

from dataclasses import dataclass

from okd.evaluation.records import CellRecord, FigureData, TableRecord
from okd.report.contents import Contents
from okd.report.costpoints import CostPoint
from okd.report.heat import HeatSquare
from okd.report.phrases import DIVERGED, UNITS

FEWEST_DOTS = 3
FEWEST_JUDGED = 3


@dataclass(frozen=True, kw_only=True)
class Figure:
    id: str
    title: str
    description: str
    svg: str
    header: list[str]
    lines: list[list[str]]
    csv: str = ""  # in reports/data/, where there is more than the lines


def figures_of(contents: Contents) -> dict[str, list[Figure]]:
    """By table; the drawing library is slow to load, and only asked for where there is something to draw."""
    found: dict[str, list[Figure]] = {}
    for table in contents.tables:
        figure = _figure(table, contents.figure_data.get(table.id), contents.summary.scale)
        if figure:
            found[table.id] = [figure]
    return found


def _figure(table: TableRecord, data: FigureData | None, scale: str) -> Figure | None:
    warning = "" if scale == "paper" else f" Scale {scale}: not results."
    measured = [cell for cell in table.cells if cell.ours]
    match table.draw:
        case "curves" if data and data.curves:
            return _curves(table, data, warning)
        case "soft-labels" if data and data.soft_labels:
            return _soft_labels(table, data, warning)
        case "dots" if measured:
            return _dots(table, measured, warning)
        case "heatmap" if squares := heat_squares(table):
            return _heatmap(table, squares, warning)
        case None if points := cost_points(table, with_ours=not warning):
            return _cost_against_error(table, points)
        case None if len(table.rows) == 1 and len(measured) >= FEWEST_DOTS and table.unit in ("error", "accuracy"):
            return _sorted_dots(table, measured, warning)
    return None


def _curves(table: TableRecord, data: FigureData, warning: str) -> Figure:
    from okd.report.charts import curves

    ends = [
        [curve.row, curve.column, str(curve.epochs[-1]), *(f"{part[-1]:.2f}" for part in (curve.mean, curve.low, curve.high))]
        for curve in data.curves
    ]
    words = f"{_capital(UNITS[table.unit])}, by epoch: a line is the mean over seeds, the band their range.{warning}"
    return Figure(
        id=table.id,
        title=table.title,
        description=words,
        svg=curves(data.curves, UNITS[table.unit], f"{table.title}. {words}"),
        header=["row", "column", "last epoch", "mean", "lowest", "highest"],
        lines=ends,
        csv=f"{table.id}.figure.csv",
    )


def _soft_labels(table: TableRecord, data: FigureData, warning: str) -> Figure:
    from okd.report.charts import soft_labels

    words = f"The mean answer to the test images of each of the first classes; the class itself stands out.{warning}"
    lines = [[one.column, str(one.label), " ".join(f"{probability:.3f}" for probability in one.probabilities)] for one in data.soft_labels]
    svg = soft_labels(data.soft_labels, f"{table.title}. {words}")
    header = ["column", "class of the images", "mean probability of each class"]
    return Figure(id=table.id, title=table.title, description=words, svg=svg, header=header, lines=lines, csv=f"{table.id}.figure.csv")


def _dots(table: TableRecord, cells: list[CellRecord], warning: str) -> Figure:
    from okd.report.charts import dots

    words = f"{_capital(UNITS[table.unit])}: dots are ours with their standard deviation, open diamonds the published values.{warning}"
    return _of_cells(table, cells, words, dots(cells, table.columns, UNITS[table.unit], f"{table.title}. {words}"))


def _sorted_dots(table: TableRecord, cells: list[CellRecord], warning: str) -> Figure:
    from okd.report.charts import sorted_dots

    cells = sorted(cells, key=lambda cell: (cell.ours.mean if cell.ours else 0.0, cell.column))
    published = "" if warning else ", open diamonds the published values"  # other data: not to be drawn on one axis
    words = f"Sorted by {UNITS[table.unit]}: dots are ours with their standard deviation{published}.{warning}"
    return _of_cells(table, cells, words, sorted_dots(cells, UNITS[table.unit], f"{table.title}. {words}", with_published=not warning))


def cost_points(table: TableRecord, *, with_ours: bool) -> list[CostPoint]:
    """Pairs of a training cost and an error under one head of the table, in a row; ours only where both numbers are."""
    points = []
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        costs: dict[str, CellRecord] = {}
        for cell in (cell for cell in cells if cell.statistic == "train_cost"):
            costs.setdefault(cell.column.partition(" / ")[0], cell)  # ONE-E deploys all that it trains: its cost of use is a second one
        for head, cost in costs.items():
            for error in (cell for cell in cells if cell.column.startswith(f"{head} / ") and cell.unit == "error"):
                if cost.published is not None and error.published is not None:
                    points.append(CostPoint(head, row, "published", cost.published, error.published))
                if with_ours and cost.ours and error.ours:
                    points.append(CostPoint(head, row, "ours", cost.ours.mean, error.ours.mean))
    return points if len(points) >= FEWEST_DOTS else []


def _cost_against_error(table: TableRecord, points: list[CostPoint]) -> Figure:
    from okd.report.charts import cost_against_error

    words = "Error against the cost of training: open diamonds are published, dots ours; the line joins what nothing else beats in both."
    lines = [[one.head, one.row, one.source, f"{one.cost:g}", f"{one.error:g}"] for one in points]
    return Figure(
        id=table.id,
        title="Cost against error",
        description=words,
        svg=cost_against_error(points, f"{table.title}. {words}"),
        header=["network", "method", "source", "training cost", "error"],
        lines=lines,
        csv=f"{table.id}.csv",
    )


def heat_squares(table: TableRecord) -> list[HeatSquare]:
    """Ours, then the published values, square by square; a cell that diverged, ours or the paper's, is crossed."""
    squares = []
    for cell in table.cells:
        if cell.ours or cell.state == "diverged":
            mean = cell.ours.mean if cell.ours and cell.state != "diverged" else None
            squares.append(HeatSquare("ours", cell.row, cell.column, mean, cell.decimals))
        if cell.printed and (cell.published is not None or cell.printed == DIVERGED):
            squares.append(HeatSquare("published", cell.row, cell.column, cell.published, cell.decimals))
    return squares


def _heatmap(table: TableRecord, squares: list[HeatSquare], warning: str) -> Figure:
    from okd.report.charts import heatmap

    sources = " and the published values" if any(one.source == "published" for one in squares) else ""
    who = "Ours" + sources if any(one.source == "ours" for one in squares) else "The published values"
    words = f"{who}, the value in each square; the darker, the larger within its row; a cross has diverged.{warning}"
    lines = [[one.source, one.row, one.column, one.text] for one in squares]
    svg = heatmap(squares, table.rows, table.columns, f"{table.title}. {words}")
    header = ["source", "row", "column", "value"]
    return Figure(id=table.id, title=table.title, description=words, svg=svg, header=header, lines=lines, csv=f"{table.id}.csv")


def _of_cells(table: TableRecord, cells: list[CellRecord], words: str, svg: str) -> Figure:
    lines = [
        [
            cell.row,
            cell.column,
            f"{cell.ours.mean:.{cell.decimals}f}" if cell.ours else "",
            "" if cell.published is None else f"{cell.published:g}",
        ]
        for cell in cells
    ]
    header = ["row", "column", "ours", "published"]
    return Figure(id=table.id, title=table.title, description=words, svg=svg, header=header, lines=lines, csv=f"{table.id}.csv")


def agreement_profile(contents: Contents) -> Figure | None:
    """What share of the judged cells lies within x points of the published values."""
    verdicts = [cell.verdict for cell in contents.cells if cell.verdict]
    if len(verdicts) < FEWEST_JUDGED:
        return None
    from okd.report.charts import profile

    near = sorted(abs(verdict.difference) for verdict in verdicts)
    proven = sorted(max(abs(verdict.low), abs(verdict.high)) for verdict in verdicts)
    title = "How close?"
    words = "Share of judged cells no further than x points from the published value; dashed: the far end of the 90 % interval"
    papers = sorted(cell.range for cell in contents.same.cells) if contents.same else []
    words += "; dotted: the papers against each other." if papers else "."
    lines = [
        [f"{points:g}", *(str(sum(value <= points for value in values)) for values in (near, proven))] for points in (0.1, 0.25, 0.5, 1, 2)
    ]
    return Figure(
        id="agreement",
        title=title,
        description=words,
        svg=profile(near, proven, papers, f"{title} {words}"),
        header=["points", f"cells within (of {len(near)})", "proven within"],
        lines=lines,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
