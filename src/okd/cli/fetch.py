"""`okd fetch`: make a data set's checked arrays."""

from typing import Annotated

import typer

from okd.data.datasets import fetch as fetch_data
from okd.plan.settings import find_root


def register(app: typer.Typer) -> None:
    app.command()(fetch)


def fetch(name: Annotated[str, typer.Argument(metavar="DATASET", help="A data set of the catalog.")]) -> None:
    """Prepare data/DATASET/ and its manifest, and check every byte; does nothing where that was done."""
    typer.echo(fetch_data(name, find_root()), err=True)
