"""Option types that several verbs share."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def _write_there(file: Path | None) -> Path | None:
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if "RANK" not in os.environ:  # the processes that torchrun starts go on where the one before them began
                file.write_bytes(b"")
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise ValueError(f"--log {file}: {error.strerror}") from None
        sys.stdout = sys.stderr = file.open("a", encoding="utf-8", buffering=1)
    return file


def as_folder(option: str, folder: Path | None) -> None:
    """Raises ValueError where something else has this name already."""
    if folder is not None and not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise ValueError(f"{option} {folder}: is there and is no folder")


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
Log = Annotated[
    Path | None,
    typer.Option("--log", callback=_write_there, is_eager=True, help="Write there; only why it failed comes to the terminal as well."),
]
