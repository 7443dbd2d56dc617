"""`okd tables`: evaluate every cell and write reports/data/."""

import typer

from okd.cli.options import Log
from okd.evaluation.tables import Evaluation, table_csv
from okd.plan.planner import make_plan
from okd.plan.settings import open_project, write_atomically
from okd.plan.store import write_json


def register(app: typer.Typer) -> None:
    app.command()(tables)


def tables(log: Log = None) -> None:
    """Write reports/data/: one JSON and one CSV a table, and summary.json. Missing results are shown as what they are."""
    project = open_project()
    evaluation = Evaluation(project.root, make_plan(project), reproduce=project.settings.reproduce)
    records = evaluation.tables()
    folder = project.root / "reports" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"summary.json"}
    for record in records:
        wanted |= {f"{record.id}.json", f"{record.id}.csv"}
        write_json(folder / f"{record.id}.json", record.model_dump())
        text = table_csv(record)
        write_atomically(folder / f"{record.id}.csv", lambda stream, text=text: stream.write(text))
    for file in folder.iterdir():
        if file.name not in wanted:
            file.unlink()
    summary = evaluation.summary(records)
    write_json(folder / "summary.json", summary.model_dump())
    runs = ", ".join(f"{count} {state}" for state, count in summary.runs.items())
    typer.echo(f"reports/data: {len(records)} tables, runs: {runs or 'none'}", err=True)
