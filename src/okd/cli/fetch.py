"""`okd fetch`: make a data set's checked arrays."""

from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Log
from okd.data.arrays import DataError
from okd.data.datasets import fetch as fetch_data
from okd.data.images import require_planned
from okd.plan.catalog import catalog, unknown
from okd.plan.settings import open_project
from okd.plan.store import Index


def register(app: typer.Typer) -> None:
    app.command()(fetch)


def fetch(name: Annotated[str, typer.Argument(metavar="DATASET", help="A data set of the catalog.")], log: Log = None) -> None:
    """Prepare data/DATASET/ and its manifest, and check every byte; does nothing where that was done."""

    def say(line: str) -> None:
        typer.echo(f"{name}: {line}", err=True)

    project, known = open_project(), catalog().datasets
    if name not in known:
        raise ValueError(unknown("data set", name, known))
    typer.echo(fetch_data(name, project.root, project.settings.data, say), err=True)
    if _planned_otherwise(name, project.root):
        typer.echo(f"{name}: these are other images than those of the plan; next: okd plan", err=True)


def _planned_otherwise(name: str, root: Path) -> bool:
    index = Index(root)
    try:
        for run_id, row in index.runs.items():
            if row["dataset"] == name:
                require_planned(index.run(run_id), root)
    except DataError:
        return True
    except ValueError:
        return False  # `okd plan` says what is wrong with the plan
    return False
