"""One self-contained HTML file from reports/data/: Jinja2 with autoescape, no network, no JavaScript needed."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from okd.evaluation.records import CellRecord, Measured, Summary, TableRecord

# state -> (mark, what it means); mark, word and colour all differ
STATES = {
    "matches": ("✓", "the 90 % interval of the difference lies inside the margin"),
    "worse": ("▲", "the interval lies beyond the margin, on the wrong side"),
    "better": ("▼", "the interval lies beyond the margin, on the right side"),
    "undecided": ("◐", "the interval crosses the margin: more seeds would tell"),
    "cannot be decided": ("◒", "the paper's own spread is wider than the margin: no number of our seeds would tell"),
    "measured": ("●", "all planned runs are done, and the paper prints nothing to hold them against"),
    "counted": ("#", "needs no training: counted from the network"),
    "reduced": ("▦", "from a reduced run: not a result, never judged"),
    "too few seeds": ("◌", "some of the planned runs are done"),
    "running": ("…", "a trainer is at work"),
    "diverged": ("✕", "a loss was not finite: kept, counted, never dropped"),
    "failed": ("!", "a run ended with an error and can be retried"),
    "stale": ("↻", "the result there belongs to another spec"),
    "not run": ("–", "nothing has been trained for it"),
    "data not available": ("∅", "the data set must be supplied"),
    "data not verified": ("?", "trained on data whose checksum differs"),
    "not built yet": ("□", "the pipeline does not have it yet"),
    "paper blank": (" ", "the paper prints nothing here"),
}


def read_data(folder: Path) -> tuple[Summary, list[TableRecord]]:
    """What `okd tables` wrote. Raises ValueError where it did not."""
    try:
        summary = Summary.model_validate_json((folder / "summary.json").read_bytes())
        names = [table for paper in summary.papers for table in paper.tables]
        return summary, [TableRecord.model_validate_json((folder / f"{name}.json").read_bytes()) for name in names]
    except (OSError, ValueError) as error:
        raise ValueError(f"reports/data is missing or damaged ({type(error).__name__}): run `okd tables`") from None


def render(summary: Summary, tables: list[TableRecord]) -> str:
    """The whole page as text."""
    environment = Environment(
        loader=PackageLoader("okd.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "signed": signed, "spread": spread, "anchor": anchor, "hours": hours, "header": header, "as_printed": as_printed}
    environment.globals |= {"commands": commands}
    page = environment.get_template("report.html.j2")
    by_paper = {paper.name: [table for table in tables if table.id in paper.tables] for paper in summary.papers}
    used = [state for state in STATES if state in summary.states]
    return page.render(summary=summary, by_paper=by_paper, states=STATES, used=used, total=sum(summary.states.values()))


def number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def spread(measured: Measured, decimals: int) -> str:
    return number(measured.mean, decimals) + ("" if measured.spread is None else f" ± {measured.spread:.{decimals}f}")


def as_printed(text: str) -> str:
    """The printed string with a real plus-minus sign."""
    return text.replace("+-", "±")


def header(columns: list[str]) -> list[tuple[str, list[str]]]:
    """Neighbouring labels "A / x", "A / y" under their common head: [("A", ["x", "y"])]; a plain label stands alone: [("A", [])]."""
    groups: list[tuple[str, list[str]]] = []
    for label in columns:
        head, _, rest = label.partition(" / ")
        if rest and groups and groups[-1][0] == head and groups[-1][1]:
            groups[-1][1].append(rest)
        else:
            groups.append((head, [rest] if rest else []))
    return groups


def hours(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 3600:.2f} h" if seconds >= 600 else f"{seconds:.0f} s"


def anchor(address: str) -> str:
    """An address as an element's id."""
    return "cell-" + address.replace("/", "--")


def commands(cell: CellRecord) -> list[tuple[str, str]]:
    """What to type for exactly this cell at the paper's recipe."""
    return [
        ("choose it", f"okd plan --scale paper {cell.address} --save"),
        ("with Snakemake", "snakemake --cores 4"),
        ("or with DVC", "dvc repro"),
    ]
