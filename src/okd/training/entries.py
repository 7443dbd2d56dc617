"""Which resume files a run has, and whether each still is what was written. No torch here.

A file's name holds the beginning of its SHA-256: where only the index is damaged it is made again from the names.
"""

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from okd.plan.store import read_json, write_json
from okd.training.disk import writing

INDEX = "resume.json"
RESUME = re.compile(r"resume-([0-9]+)-([0-9a-f]{16})\.pt")
STORE = re.compile(r"store-([0-9a-f]{64})\.bin")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A resume file as it was written."""

    file: str
    step: int
    key: str  # of the spec that it belongs to
    bytes: int
    sha256: str
    stores: list[str] = field(default_factory=list)  # large tensors beside it, each named by its SHA-256

    def problem(self, folder: Path) -> str | None:
        """Why this file cannot be believed; None where it and its stores are what they were."""
        file = folder / self.file
        if file.is_symlink() or not file.is_file():
            return "is not a file" if file.is_symlink() or file.exists() else "is missing"
        if (size := file.stat().st_size) != self.bytes:
            return f"has {size} bytes, not {self.bytes}"
        if sha256_of(file) != self.sha256:
            return "SHA-256 mismatch"
        return next((f"its {name} {why}" for name in self.stores if (why := store_problem(folder / name))), None)


def store_problem(file: Path) -> str | None:
    match = STORE.fullmatch(file.name)
    if match is None or file.is_symlink() or not file.is_file():
        return "is missing"
    return None if sha256_of(file) == match[1] else "SHA-256 mismatch"


def name_of(step: int, sha256: str) -> str:
    return f"resume-{step}-{sha256[:16]}.pt"


def sha256_of(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def resume_files(folder: Path) -> list[Path]:
    """Files that look like ours, the latest step first."""
    return [file for _, file in sorted(_numbered(folder), key=lambda pair: pair[0], reverse=True)]


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    return [(int(match[1]), file) for file in folder.glob("resume-*.pt") if (match := RESUME.fullmatch(file.name))]


def read_index(folder: Path) -> list[Entry] | None:
    """What the index names, newest first; None where it is missing, damaged or names something outside the folder."""
    rows = (read_json(folder / INDEX) or {}).get("newest_first")
    if not isinstance(rows, list):
        return None
    entries = [_entry(row) for row in rows]
    return None if None in entries else [entry for entry in entries if entry]


def _entry(row: Any) -> Entry | None:
    wanted = {"file": str, "step": int, "key": str, "bytes": int, "sha256": str, "stores": list}
    if not isinstance(row, dict) or set(row) != set(wanted) or not all(isinstance(row[name], kind) for name, kind in wanted.items()):
        return None
    entry = Entry(**row)
    inside = RESUME.fullmatch(entry.file) and all(isinstance(name, str) and STORE.fullmatch(name) for name in entry.stores)
    return entry if inside else None


def write_index(folder: Path, entries: list[Entry]) -> None:
    with writing(folder / INDEX, 1000):
        write_json(folder / INDEX, {"newest_first": [asdict(entry) for entry in entries]})


def entries_of(folder: Path, *, key: str) -> list[Entry]:
    """Resume files, newest first, from the index, or, with one line, from their names where the index is no good.

    Raises ValueError where there are resume files and neither tells what they must be.
    """
    if (entries := read_index(folder)) is not None:
        return entries
    files = resume_files(folder)
    if not files and not (folder / INDEX).exists():
        return []
    what = "is damaged" if (folder / INDEX).exists() else "is missing"
    found = [_from_name(file, key) for file in files]
    entries = [entry for entry in found if entry]
    if not entries:
        raise ValueError(f"{folder / INDEX} {what}, and no checkpoint there can be trusted; delete the folder to start this run again")
    say(f"{INDEX} {what}; made again from {', '.join(entry.file for entry in entries)}")
    return entries


def _from_name(file: Path, key: str) -> Entry | None:
    """What a file's own name says; None where its bytes differ from that. Its key and stores stand inside, and are looked at there."""
    match = RESUME.fullmatch(file.name)
    if match is None or file.is_symlink() or not file.is_file() or not (digest := sha256_of(file)).startswith(match[2]):
        return None
    return Entry(file=file.name, step=int(match[1]), key=key, bytes=file.stat().st_size, sha256=digest)


def unlisted(folder: Path, entries: list[Entry], *, key: str) -> Iterator[Entry]:
    """Files that the index leaves out though their names vouch for them, as where a trainer that had slept put an old index back."""
    listed = {entry.file for entry in entries}
    yield from (entry for file in resume_files(folder) if file.name not in listed and (entry := _from_name(file, key)))


def set_aside(file: Path) -> None:
    """Keep what is damaged, under a name that nobody loads."""
    if not file.is_symlink() and not file.exists():
        return
    aside = file.with_suffix(".corrupt")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    aside.unlink(missing_ok=True)
    file.rename(aside)


def prune(folder: Path, kept: list[Entry]) -> None:
    """Delete older resume files, and stores, that no kept entry names. A later file is another trainer's, if this one has slept."""
    names = {name for entry in kept for name in (entry.file, *entry.stores)}
    older = [file for step, file in _numbered(folder) if step <= kept[0].step]
    for file in (*older, *folder.glob("store-*.bin")):
        if file.name not in names and not file.is_dir():
            file.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Delete every resume file: the run has its result."""
    for file in (folder / INDEX, *resume_files(folder), *folder.glob("store-*.bin")):
        file.unlink(missing_ok=True)


def say(line: str) -> None:
    print(f"okd: {line}", file=sys.stderr)
