"""`okd verify`: hash every result and checkpoint again."""

import hashlib
import json
from pathlib import Path

import typer

from okd.cli.options import Json
from okd.evaluation.integrity import problems, result_folders
from okd.plan.settings import find_root
from okd.plan.store import read_json


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(as_json: Json = False) -> None:
    """Compare every result and resume file with what was recorded when it was written; ends with 1 and names what does not hold."""
    root = find_root()
    folders = result_folders(root)
    wrong = [line for folder in folders for line in problems(folder)]
    indexes = sorted((root / "scratch").glob("*/*/resume.json"))
    wrong += [line for index in indexes for line in _checkpoints(index)]
    wrong = [line.replace(f"{root}/", "") for line in wrong]
    if as_json:
        typer.echo(json.dumps({"results": len(folders), "resumable": len(indexes), "problems": wrong}))
    else:
        for line in wrong:
            typer.echo(f"okd: {line}", err=True)
        typer.echo(f"{len(folders)} results and {len(indexes)} resumable runs checked, {len(wrong)} problems", err=True)
    if wrong:
        raise typer.Exit(1)


def _checkpoints(index: Path) -> list[str]:
    """Resume files that are not what their index says."""
    entries = (read_json(index) or {}).get("newest_first")
    if entries is None:
        return [f"{index}: is damaged"]
    files = [(index.parent / entry["file"], entry["sha256"]) for entry in entries]
    missing = [f"{file}: is missing" for file, _ in files if not file.is_file()]
    changed = [file for file, digest in files if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != digest]
    return missing + [f"{file}: SHA-256 mismatch" for file in changed]
