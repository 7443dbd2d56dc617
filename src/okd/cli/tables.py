"""`okd tables`: evaluate every cell and write reports/data/."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from okd.cli.dataset_records import dataset_records
from okd.cli.options import Log, as_folder
from okd.evaluation.datasets import DATASETS, Datasets
from okd.evaluation.dvc import CELLS, METRICS, cells_csv, metrics
from okd.evaluation.findings import findings
from okd.evaluation.frames import table_csv
from okd.evaluation.reduced import with_reduced
from okd.evaluation.same_experiment import same_experiment
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.settings import open_project, write_atomically
from okd.plan.store import write_json
from okd.report.downloads import MANIFEST, downloads, manifest


def register(app: typer.Typer) -> None:
    app.command()(tables)


def tables(
    scale: Annotated[str | None, typer.Option(help="demo, short or paper, whatever params.yaml says; give --out as well.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write there instead of reports/data.")] = None,
    evidence_only: Annotated[bool, typer.Option("--evidence-only", help="Use what reports/evidence/ holds, and no result here.")] = False,
    log: Log = None,
) -> None:
    """Write reports/data/: every table as JSON, CSV, LaTeX and Markdown, summary and claims. Missing results are shown as what they are."""
    project = open_project()
    if scale is not None and scale not in ("demo", "short", "paper"):
        raise ValueError(f"--scale: '{scale}' is not one of demo, short, paper")
    if (scale or evidence_only) and out is None:
        raise ValueError("--scale and --evidence-only need --out: reports/data follows params.yaml")
    as_folder("--out", out)
    if out and out.is_dir() and any(out.iterdir()) and not (out / "summary.json").is_file():
        raise ValueError(f"--out {out}: holds other files; give an empty folder or one that okd tables has written")
    plan = make_plan(project, scale=scale)
    evaluation = Evaluation(
        project.root,
        plan,
        reproduce=project.settings.reproduce,
        paper_plan=plan if plan.scale == "paper" else make_plan(project, scale="paper"),
        evidence_only=evidence_only,
    )
    # A short run is better than a blank in a page that is made of evidence alone.
    reduced = None
    if evidence_only and plan.scale == "paper":
        reduced = Evaluation(project.root, make_plan(project, scale="short"), reproduce=[], paper_plan=plan, evidence_only=True)
    folder = out or project.root / "reports" / "data"
    names = (run.dataset.name for run in plan.runs.values())
    data = dataset_records(project.root, names, None if evidence_only else project.settings.data)
    runs = ", ".join(f"{count} {state}" for state, count in write_tables(folder, evaluation, *data, reduced=reduced).items())
    typer.echo(f"{folder.name if out else 'reports/data'}: {len(plan.cells)} cells, runs: {runs or 'none'}", err=True)


def write_tables(
    folder: Path,
    evaluation: Evaluation,
    datasets: Datasets | None = None,
    pictures: Mapping[str, bytes] = MappingProxyType({}),
    *,
    reduced: Evaluation | None = None,
) -> dict[str, int]:
    """Write all files, take away those that are no longer wanted; return the chosen runs by state. `reduced` fills cells not run."""
    folder.mkdir(parents=True, exist_ok=True)
    records = with_reduced(evaluation.tables(), reduced.tables() if reduced else [])
    summary = evaluation.summary(records)
    papers = {paper.name: paper for paper in summary.papers}
    texts = {f"{record.id}.csv": table_csv(record) for record in records}
    jsons = {f"{record.id}.json": record.model_dump() for record in records} | {"summary.json": summary.model_dump()}
    for record in records:
        texts |= {f"{record.id}.{ending}": text for ending, text in downloads(record, papers[record.paper], summary.scale).items()}
    for name, (data, text) in evaluation.figures().items():
        jsons |= {f"{name}.figure.json": data.model_dump()}
        texts |= {f"{name}.figure.csv": text}
    jsons |= {METRICS: metrics(records)}
    texts |= {CELLS: cells_csv(records)}
    jsons |= {"claims.json": findings(evaluation, records).model_dump()}
    placed = [cell.placed for cell in evaluation.plan.cells]
    jsons |= {"same-experiment.json": same_experiment(placed, evaluation.plan.third_party).model_dump()}
    if datasets:
        jsons |= {DATASETS: datasets.model_dump()}
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    for name, text in texts.items():
        write_atomically(folder / name, lambda stream, text=text: stream.write(text))
    for name, record in jsons.items():
        write_json(folder / name, record)
    wanted = set(texts) | set(jsons) | set(pictures)
    for file in folder.iterdir():  # but folders, and what another process is about to write: `okd gc` clears that, if it died
        if file.name not in wanted | {MANIFEST} and not file.is_dir() and not file.name.startswith("."):
            file.unlink(missing_ok=True)
    write_json(folder / MANIFEST, manifest(folder, summary, wanted))
    return summary.runs
