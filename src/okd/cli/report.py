"""`okd report`: render reports/report.html from reports/data/."""

import typer

from okd.cli.options import Log
from okd.plan.settings import find_root, write_atomically
from okd.report.render import read_data, render


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(log: Log = None) -> None:
    """Render the report: one file that needs no network and no JavaScript."""
    root = find_root()
    page = render(*read_data(root / "reports" / "data"))
    write_atomically(root / "reports" / "report.html", lambda stream: stream.write(page))
    typer.echo(str(root / "reports" / "report.html"))
