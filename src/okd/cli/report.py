"""`okd report`: render reports/report.html from reports/data/."""

from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Log
from okd.plan.settings import find_root, write_atomically
from okd.report.render import read_data, render_contents


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    data: Annotated[Path | None, typer.Option(help="What `okd tables` wrote: reports/data.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page: reports/report.html.")] = None,
    log: Log = None,
) -> None:
    """Render the report: one file that needs no network and no JavaScript. It links its data where they lie beside it."""
    root = find_root()
    file = out or root / "reports" / "report.html"
    if file.is_dir():
        raise ValueError(f"--out {file}: is a folder; name the page, as {file / 'report.html'}")
    page = render_contents(read_data(data or root / "reports" / "data", seen_from=file.parent))
    write_atomically(file, lambda stream: stream.write(page))
    typer.echo(str(file))
