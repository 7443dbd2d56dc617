"""One self-contained HTML file from reports/data/: Jinja2 with autoescape, no network, no JavaScript needed."""

import hashlib
from base64 import b64encode
from collections import Counter
from importlib.resources import files
from pathlib import Path
from statistics import median

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from okd.evaluation.datasets import DATASETS, Datasets
from okd.evaluation.finding_records import Findings
from okd.evaluation.records import CellRecord, FigureData, Summary, TableRecord
from okd.evaluation.same_experiment import SameExperiment
from okd.evaluation.verdict import ASSUMED_N, CONFIDENCE, MODERATED_FROM, OTHER_N
from okd.report import phrases
from okd.report.contents import Contents, holding, outcome_counts
from okd.report.downloads import FORMATS
from okd.report.figures import agreement_profile, figures_of
from okd.report.states import OUTCOMES, STATES, TONES
from okd.report.strip import claim_strip, reach, strip

RULES = {
    "confidence": round(100 * CONFIDENCE),
    "side": round(50 * (1 - CONFIDENCE)),
    "moderated_from": MODERATED_FROM,
    "assumed_n": ASSUMED_N,
    "other_n": " or ".join(map(str, OTHER_N)),
}


def read_data(folder: Path, seen_from: Path | None = None) -> Contents:
    """What `okd tables` wrote, for a page in the folder `seen_from`. Raises ValueError where it did not."""
    try:
        summary = Summary.model_validate_json((folder / "summary.json").read_bytes())
        names = [table for paper in summary.papers for table in paper.tables]
        tables = [TableRecord.model_validate_json((folder / f"{name}.json").read_bytes()) for name in names]
        more = {name: folder / f"{name}.figure.json" for name in names}
        figures = {name: FigureData.model_validate_json(file.read_bytes()) for name, file in more.items() if file.is_file()}
        claims, same = folder / "claims.json", folder / "same-experiment.json"
        findings = Findings.model_validate_json(claims.read_bytes()) if claims.is_file() else None
        shared = SameExperiment.model_validate_json(same.read_bytes()) if same.is_file() else None
        datasets = Datasets.model_validate_json((folder / DATASETS).read_bytes()) if (folder / DATASETS).is_file() else None
        sheets = {one.name: (folder / one.sheet.file).read_bytes() for one in (datasets.datasets if datasets else []) if one.sheet}
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.name} is missing or damaged ({type(error).__name__}): run `okd tables`") from None
    beside = seen_from is None or folder.resolve().is_relative_to(seen_from.resolve())
    place = folder.resolve().relative_to(seen_from.resolve()).as_posix() if seen_from and beside else "data" if beside else None
    return Contents(
        summary=summary, tables=tables, figure_data=figures, findings=findings, same=shared, datasets=datasets, sheets=sheets, data=place
    )


def render(summary: Summary, tables: list[TableRecord]) -> str:
    """The page of tables that have nothing more to draw."""
    return render_contents(Contents(summary=summary, tables=tables, figure_data={}))


def render_contents(contents: Contents) -> str:
    """The whole page as text."""
    environment = Environment(
        loader=PackageLoader("okd.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        name: getattr(phrases, name)
        for name in (
            "number",
            "signed",
            "spread",
            "anchor",
            "hours",
            "header",
            "as_printed",
            "third_party",
            "look",
            "sentence",
            "exchanged",
            "gap",
            "best_epoch",
            "memory",
        )
    }
    environment.filters |= {
        "strip": strip,
        "reach": reach,
        "claim_strip": claim_strip,
        "data_hashes": data_hashes,
        "devices": devices,
        "counted": counted,
        "holding": holding,
        "outcome_counts": outcome_counts,
        "median": median,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    script = files("okd.report").joinpath("templates/script.js").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        contents=contents,
        summary=contents.summary,
        claims=contents.claims,
        same=contents.same,
        datasets=contents.datasets,
        sheets={name: "data:image/jpeg;base64," + b64encode(picture).decode() for name, picture in contents.sheets.items()},
        outcomes=OUTCOMES,
        states=STATES,
        tones=TONES,
        units=phrases.UNITS,
        formats=FORMATS,
        rules=RULES,
        commands=phrases.commands,
        assumptions=list(contents.remarks("assumptions")),
        deviations=list(contents.remarks("deviations")),
        figures=figures_of(contents),
        profile=agreement_profile(contents),
        script=Markup(script),
        script_hash="sha256-" + b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def data_hashes(cell: CellRecord) -> list[str]:
    """The data behind a cell's runs, a line a split; the footer has the hashes in full."""
    return sorted({f"{split} {digest[:16]}" for run in cell.runs for split, digest in run.data_sha256.items()})


def devices(cell: CellRecord) -> list[str]:
    return sorted({run.device for run in cell.runs if run.device})


def counted(table: TableRecord) -> list[tuple[str, int]]:
    """A table's cells by state, in the legend's order."""
    counts = Counter(cell.state for cell in table.cells if cell.state != "paper blank")
    return [(state, counts[state]) for state in STATES if counts[state]]
