"""The command line: one verb a file, one line per fault, the exit codes of the contract."""

import sys
from importlib import import_module

import typer

from okd.cli.codes import exit_code

VERBS = (
    "plan",
    "fetch",
    "train",
    "tables",
    "report",
    "record",
    "status",
    "verify",
    "cost",
    "bench",
    "data",
    "doctor",
    "gc",
    "diff",
    "science",
    "evidence",
    "export",
)

app = typer.Typer(
    help="Online knowledge distillation, reproduced. `snakemake` and `dvc repro` call these verbs; people need `okd plan`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run a verb. Only the module of the verb that is asked for is loaded: torch alone costs seconds."""
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    for verb in VERBS if asked not in VERBS else (asked,):
        import_module(f"okd.cli.{verb}").register(app)
    if len(app.registered_commands) == 1:
        app.callback()(lambda: None)  # with one command only, typer would take the verb for an argument
    try:
        app()
    except Exception as error:
        sys.exit(exit_code(error))
