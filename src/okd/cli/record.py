"""`okd record`: tell DVC about the results that are finished, whichever engine made them."""

import subprocess

import typer

from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import Index, Places, read_json


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
    targets = [] if len(ready) == len(runs) else _targets(ready)
    code = subprocess.call(["dvc", "commit", "--force", *targets], cwd=project.root)
    typer.echo(f"okd: recorded {len(ready)} of {len(runs)} runs in dvc.lock", err=True)
    raise typer.Exit(code)


def _ready(places: Places) -> bool:
    """Five files, the right key, and for a taught run a teacher that is the planned one."""
    if not places.finished():
        return False
    taught_by = (read_json(places.result / "result.json") or {}).get("teacher")
    return places.run.teacher is None or (taught_by or {}).get("key") == places.run.teacher_key


def _targets(ready: list[Run]) -> list[str]:
    data = sorted({run.dataset.name for run in ready})
    return ["plan", *(f"fetch@{name}" for name in data), *(f"train@{run.id}" for run in ready)]
