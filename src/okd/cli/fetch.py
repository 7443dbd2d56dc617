"""`okd fetch`: make a data set's checked arrays."""

from typing import Annotated

import typer

from okd.cli.options import Log
from okd.data.datasets import fetch as fetch_data
from okd.plan.settings import open_project


def register(app: typer.Typer) -> None:
    app.command()(fetch)


def fetch(name: Annotated[str, typer.Argument(metavar="DATASET", help="A data set of the catalog.")], log: Log = None) -> None:
    """Prepare data/DATASET/ and its manifest, and check every byte; does nothing where that was done."""

    def say(line: str) -> None:
        typer.echo(f"{name}: {line}", err=True)

    project = open_project()
    typer.echo(fetch_data(name, project.root, project.settings.data, say), err=True)
