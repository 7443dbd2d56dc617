"""`okd record`: tell DVC about the results that are finished, whichever engine made them."""

import subprocess
from pathlib import Path

import typer

from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import Index, Places, read_json

REPORTED = {"tables": "reports/data", "report": "reports/report.html"}


def register(app: typer.Typer) -> None:
    app.command()(record)


def record() -> None:
    """Commit the finished stages to dvc.lock and DVC's cache. Results of scale demo are not recorded."""
    project = open_project()
    index = Index(project.root)
    if index.content.get("scale") == "demo":
        raise ValueError("dvc.lock holds real results only, and the plan is at scale demo: nothing to record")
    runs = index.all_runs()
    ready = [run for run in runs if _ready(Places(project.root, run))]
    if not ready:
        typer.echo("okd: no planned run is finished: nothing to record", err=True)
        raise typer.Exit(1)
    for run in ready:
        Places(project.root, run).mend_key()
    command = ["dvc", "commit", "--force", *_targets(project.root, ready, complete=len(ready) == len(runs))]
    try:
        code = subprocess.call(command, cwd=project.root)
    except FileNotFoundError:
        raise ValueError("there is no dvc on PATH: source .venv/bin/activate") from None
    if code:
        raise typer.Exit(code)  # dvc has said why
    typer.echo(f"okd: recorded {len(ready)} of {len(runs)} runs in dvc.lock", err=True)


def _ready(places: Places) -> bool:
    """Five files, and for a taught run the planned teacher: the one that taught it, and the one that is there."""
    run = places.run
    if not places.finished() or run.teacher is None:
        return places.finished()
    taught_by = (read_json(places.result / "result.json") or {}).get("teacher") or {}
    return taught_by.get("key") == run.teacher_key and (places.results / run.teacher / "key").is_file()


def _targets(root: Path, ready: list[Run], *, complete: bool) -> list[str]:
    """Nothing, which is all of it, or the stages whose outputs are there: dvc refuses to commit the others."""
    data = sorted({run.dataset.name for run in ready})
    here = [name for name in data if (root / "data" / name).is_dir() and (root / "data" / f"{name}.manifest.json").is_file()]
    shown = [stage for stage, file in REPORTED.items() if (root / file).exists()] if complete else []
    if complete and here == data and len(shown) == len(REPORTED):
        return []
    return ["plan", *(f"fetch@{name}" for name in here), *(f"train@{run.id}" for run in ready), *shown]
