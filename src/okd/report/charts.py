"""Charts as static SVG: Altair says what, vl-convert draws, colours are the page's CSS variables."""

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert
from markupsafe import escape

from okd.evaluation.records import CellRecord, Curve, SoftLabels
from okd.report.costpoints import CostPoint, frontier
from okd.report.heat import HeatSquare, share

COLOURS = ["var(--ours)", "var(--published)", "var(--open)", "var(--third)", "var(--fourth)", "var(--ink)"]
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3]]  # lines differ without colour
WIDTH, HEIGHT = 300, 190
GONE = re.compile(r' (?:role|aria-[a-z]+|xmlns(?::xlink)?|pointer-events|version|class)="[^"]*"')


def curves(found: Sequence[Curve], unit: str, words: str) -> str:
    """One panel a row of the table, one line a column."""
    columns = list(dict.fromkeys(curve.column for curve in found))
    values = [
        {"row": curve.row, "column": curve.column, "epoch": epoch, "mean": mean, "low": low, "high": high}
        for curve in found
        for epoch, mean, low, high in zip(curve.epochs, curve.mean, curve.low, curve.high, strict=True)
    ]
    base = alt.Chart().encode(x=alt.X("epoch:Q").title("epoch"), color=_colour(columns))
    line = base.mark_line(strokeWidth=1.5).encode(y=alt.Y("mean:Q").title(unit).scale(zero=False), strokeDash=_dash(columns))
    band = base.mark_area(opacity=0.2, line=False).encode(y=alt.Y("low:Q").scale(zero=False).title(unit), y2="high:Q")
    panels = (
        alt.layer(band, line, data=alt.Data(values=values))
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("row:N").title(None).sort(list(dict.fromkeys(curve.row for curve in found))), columns=1)
    )
    return _svg(panels.resolve_scale(y="independent", x="independent"), words)


def dots(cells: Sequence[CellRecord], columns: Sequence[str], unit: str, words: str) -> str:
    """One line a row of the table, along its columns."""
    rows = list(dict.fromkeys(cell.row for cell in cells))
    x, y = alt.X("column:N").sort(list(columns)).title(None).axis(labelAngle=0), alt.Y("value:Q").scale(zero=False).title(unit)
    base = alt.Chart(alt.Data(values=_values(cells))).encode(x=x, color=_colour(rows, "row"))
    bars = base.mark_rule().encode(y=alt.Y("low:Q").title(unit).scale(zero=False), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=_dash(rows, "row"))
    points = base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=_shape(rows))
    layers = [bars, lines, points]
    if published := _published(cells):
        layers.append(
            alt.Chart(alt.Data(values=published))
            .mark_point(shape="diamond", size=80, filled=False)
            .encode(x=x, y=y, color=_colour(rows, "row"))
        )
    return _svg(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT), words)


def sorted_dots(cells: Sequence[CellRecord], unit: str, words: str, *, with_published: bool) -> str:
    y = alt.Y("column:N").sort([cell.column for cell in cells]).title(None)
    base = alt.Chart(alt.Data(values=_values(cells))).encode(y=y)
    x = alt.X("value:Q").scale(zero=False).title(unit)
    layers = [
        base.mark_rule(color=COLOURS[0]).encode(x=alt.X("low:Q").scale(zero=False).title(unit), x2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1, color=COLOURS[0]).encode(x=x),
    ]
    if with_published and (published := _published(cells)):
        marks = alt.Chart(alt.Data(values=published)).mark_point(shape="diamond", size=80, filled=False, color=COLOURS[1])
        layers.append(marks.encode(x=x, y=y))
    return _svg(alt.layer(*layers).properties(width=WIDTH, height=28 * len(cells)), words)


def heatmap(squares: Sequence[HeatSquare], rows: Sequence[str], columns: Sequence[str], words: str) -> str:
    """A panel for ours, one for the published values; a cross stands where training diverged."""
    panels = []
    for source in dict.fromkeys(square.source for square in squares):
        own = [square for square in squares if square.source == source]
        values = [square._asdict() | {"share": share(square, own), "label": square.text} for square in own]
        base = alt.Chart(alt.Data(values=values)).encode(
            x=alt.X("column:N").sort(list(columns)).scale(domain=list(columns)).title(None).axis(labelAngle=0),
            y=alt.Y("row:N").sort(list(rows)).scale(domain=list(rows)).title(None),
        )
        known = base.transform_filter("isValid(datum.value)").mark_rect(fill="var(--band)", stroke="var(--line)")
        gone = base.transform_filter("!isValid(datum.value)").mark_rect(fill="transparent", stroke="var(--soft)", strokeDash=[3, 3])
        tinted = known.encode(fillOpacity=alt.FillOpacity("share:Q").legend(None).scale(domain=[0, 1], range=[0.2, 1]))
        texts = base.mark_text(fontSize=12, fill="var(--ink)").encode(text="label:N")
        size = {"width": max(58 * len(columns), 180), "height": 34 * len(rows)}
        panels.append(alt.layer(tinted, gone, texts).properties(**size, title=source))
    return _svg(alt.vconcat(*panels), words)


def soft_labels(found: Sequence[SoftLabels], words: str) -> str:
    """Small multiples: a panel for each temperature and class of images."""
    values = [
        {"panel": f"{one.column}, class {one.label}", "class": k, "probability": probability, "own": k == one.label}
        for one in found
        for k, probability in enumerate(one.probabilities)
    ]
    bars = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=alt.X("class:O").title("class").axis(labelAngle=0),
            y=alt.Y("probability:Q").title("probability"),
            color=alt.Color("own:N").legend(None).scale(domain=[True, False], range=["var(--ours)", "var(--band)"]),
        )
        .properties(width=135, height=90)
    )
    return _svg(
        bars.facet(facet=alt.Facet("panel:N").title(None).sort(list(dict.fromkeys(value["panel"] for value in values))), columns=2),
        words,
    )


def cost_against_error(points: Sequence[CostPoint], words: str) -> str:
    """A panel a network; the frontier of the published values, and of ours where there are any."""
    heads = list(dict.fromkeys(point.head for point in points))
    sources = ["published", "ours"] if any(point.source == "ours" for point in points) else ["published"]
    groups = [[point for point in points if (point.head, point.source) == (head, source)] for head in heads for source in sources]
    colour = alt.Color("source:N").title(None).legend(None).scale(domain=["published", "ours"], range=[COLOURS[1], COLOURS[0]])
    panels = []
    for head in heads:
        own = [point._asdict() for point in points if point.head == head]
        edge = [point._asdict() for group in groups for point in frontier(group) if point.head == head]
        axes = {
            "x": alt.X("cost:Q").scale(zero=False, padding=20).title("training cost, 1e8 operations an image"),
            "y": alt.Y("error:Q").scale(zero=False, padding=15).title("error, percent"),
        }
        line = alt.Chart(alt.Data(values=edge)).mark_line(strokeWidth=1).encode(**axes, color=colour, detail="source:N")
        shape = alt.Shape("source:N").legend(None).scale(domain=["published", "ours"], range=["diamond", "circle"])
        base = alt.Chart(alt.Data(values=own))
        marks = base.mark_point(size=70, filled=False, opacity=1).encode(**axes, color=colour, shape=shape)
        named = base.transform_filter("datum.source == 'published'")
        names = named.mark_text(align="left", dx=8, dy=-5, fontSize=11, color="var(--ink)").encode(**axes, text="row:N")
        panels.append(alt.layer(line, marks, names).properties(width=WIDTH, height=HEIGHT, title=head))
    return _svg(alt.vconcat(*panels), words)


def profile(near: Sequence[float], proven: Sequence[float], papers: Sequence[float], words: str) -> str:
    values = [
        {"which": which, "points": point, "share": index / len(points)}
        for which, points in (("measured", near), ("proven", proven), ("papers", papers))
        if points
        for index, point in enumerate([0.0, *points])
    ]
    names = ["measured", "proven", *(["papers"] if papers else [])]
    lines = (
        alt.Chart(alt.Data(values=values))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("points:Q").title("points from the published value"),
            y=alt.Y("share:Q").title("share of judged cells").axis(format="%").scale(domain=[0, 1]),
            color=_colour(names, "which"),
            strokeDash=_dash(names, "which"),
        )
    )
    return _svg(lines.properties(width=WIDTH, height=HEIGHT), words)


def _values(cells: Sequence[CellRecord]) -> list[dict[str, Any]]:
    values = []
    for cell in cells:
        assert cell.ours is not None
        mean, spread = cell.ours.mean, cell.ours.spread or 0.0
        label = f"{mean:.{cell.decimals}f}"
        values.append({"row": cell.row, "column": cell.column, "value": mean, "low": mean - spread, "high": mean + spread, "label": label})
    return values


def _published(cells: Sequence[CellRecord]) -> list[dict[str, Any]]:
    return [{"row": cell.row, "column": cell.column, "value": cell.published} for cell in cells if cell.published is not None]


def _range(options: Sequence[Any], count: int) -> list[Any]:
    return [options[index % len(options)] for index in range(count)]


def _colour(names: Sequence[str], field: str = "column") -> alt.Color:
    return alt.Color(f"{field}:N").title(None).sort(list(names)).scale(domain=list(names), range=_range(COLOURS, len(names)))


def _dash(names: Sequence[str], field: str = "column") -> alt.StrokeDash:
    return alt.StrokeDash(f"{field}:N").title(None).sort(list(names)).scale(domain=list(names), range=_range(DASHES, len(names)))


def _shape(rows: Sequence[str]) -> alt.Shape:
    shapes = ["circle", "square", "triangle-up", "triangle-down", "cross", "triangle-right"]
    return alt.Shape("row:N").title(None).sort(list(rows)).scale(domain=list(rows), range=_range(shapes, len(rows)))


def _svg(chart: Any, words: str) -> str:
    """The drawing with a description instead of a role for each line, and without what only a file of its own needs."""
    text = vl_convert.vegalite_to_svg(_themed(chart).to_dict())
    head, _, body = GONE.sub("", text).partition(">")
    return f'{head} role="img" aria-label="{escape(words)}">{body}'


def _themed(chart: Any) -> Any:
    quiet = {"domainColor": "var(--line)", "tickColor": "var(--line)", "gridColor": "var(--line)"}
    text = {"labelColor": "var(--soft)", "titleColor": "var(--ink)", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return (
        chart.configure(
            aria=False, background="transparent", padding={"left": 24, "right": 12, "top": 8, "bottom": 8}, font="system-ui, sans-serif"
        )
        .configure_axis(**quiet, **text, labelLimit=220, tickCount=5)
        .configure_legend(
            labelColor="var(--ink)", labelFontSize=12, orient="bottom", columns=2, labelLimit=260, symbolStrokeWidth=2, symbolOpacity=1
        )
        .configure_header(labelColor="var(--ink)", labelFontSize=12)
        .configure_title(color="var(--ink)", fontSize=12, fontWeight="normal", anchor="start")
        .configure_view(stroke=None)
    )
