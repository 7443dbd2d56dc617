"""`okd diff`: what differs between two runs, in spec and in result."""

import json
from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.evaluation.contrast import contrast, contrast_lines, find_run
from okd.plan.settings import open_project
from okd.plan.source import shown

LONGEST = 255  # bytes in a file's name


def register(app: typer.Typer) -> None:
    app.command()(diff)


def diff(
    one: Annotated[str, typer.Argument(help="A run's id, its folder in results/, or a file in reports/evidence/.")],
    two: Annotated[str, typer.Argument(help="Another one.")],
    as_json: Json = False,
) -> None:
    """Name every setting and every outcome in which two runs differ; errors in percent, after the last epoch."""
    project = open_project()
    if long := [name for name in (one, two) if any(len(part.encode()) > LONGEST for part in Path(name).parts)]:
        raise ValueError(f"{shown(long[0])} is longer than any id or file name")
    sides = [find_run(project, name) for name in (one, two)]
    if as_json:
        typer.echo(json.dumps({"one": sides[0].name, "two": sides[1].name} | contrast(*sides)))
        return
    for line in contrast_lines(*sides):
        typer.echo(line)
