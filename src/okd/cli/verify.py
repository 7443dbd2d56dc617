"""`okd verify`: hash every result and checkpoint again."""

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from okd.cli.options import Json
from okd.evaluation.integrity import problems, result_folders
from okd.plan.settings import find_root
from okd.training.entries import INDEX, read_index, resume_files, sha256_of
from okd.training.lock import trainers_folders


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(as_json: Json = False) -> None:
    """Compare every result and resume file with what was recorded when it was written; ends with 1 and names what does not hold."""
    root = find_root()
    results = result_folders(root)
    resumable = [folder for folder in trainers_folders(root) if (folder / INDEX).exists() or resume_files(folder)]
    wrong = [line for folder in results for line in problems(folder)] + [line for folder in resumable for line in _checkpoints(folder)]
    wrong = [line.replace(f"{root}/", "") for line in wrong]
    if as_json:
        typer.echo(json.dumps({"results": len(results), "resumable": len(resumable), "problems": wrong}))
    else:
        for line in wrong:
            typer.echo(f"okd: {line}", err=True)
        typer.echo(f"{len(results)} results and {len(resumable)} resumable runs checked, {len(wrong)} problems", err=True)
    if wrong:
        raise typer.Exit(1)


def _checkpoints(folder: Path) -> Iterator[str]:
    """Resume files that are not what their index says, or their own name."""
    entries = read_index(folder)
    if entries is None:
        yield f"{folder / INDEX}: is {'damaged' if (folder / INDEX).exists() else 'missing'}"
    for entry in entries or []:
        if problem := entry.problem(folder):
            yield f"{folder / entry.file}: {problem}"
        if entry.key not in (folder.name, folder.parent.name):
            yield f"{folder / entry.file}: belongs to another spec ({entry.key})"
    listed = {entry.file for entry in entries or []}
    for file in resume_files(folder):
        if file.name not in listed and (not file.is_file() or sha256_of(file)[:16] != file.stem.rpartition("-")[2]):
            yield f"{file}: its SHA-256 is not the one in its name"
