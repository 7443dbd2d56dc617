"""Whether results are still what their trainer wrote: every file hashed again, every key recomputed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from okd.plan.run import Run
from okd.plan.store import FILES, read_json

RECORDED = tuple(name for name in FILES if name != "result.json")


def result_folders(root: Path) -> list[Path]:
    """Every `results/<scale>/<id>/<key>/` that claims to be finished."""
    return sorted(file.parent for file in (root / "results").glob("*/*/*/result.json") if file.parents[2].name not in ("new", "old"))


def problems(folder: Path) -> Iterator[str]:
    """What does not hold in one result, a line each; nothing where all is well."""
    record = read_json(folder / "result.json")
    if record is None or not isinstance(record.get("sha256"), dict):
        yield f"{folder / 'result.json'}: is not a result"
        return
    for name in RECORDED:
        file = folder / name
        if not file.is_file():
            yield f"{file}: is missing"
        elif hashlib.sha256(file.read_bytes()).hexdigest() != record["sha256"].get(name):
            yield f"{file}: its SHA-256 is not the one recorded when it was written"
    key = (folder.parent / "key").read_text().strip() if (folder.parent / "key").is_file() else None
    for what, value in (("result.json", record.get("key")), ("the file `key`", key), ("its spec", _key_of(folder / "spec.json"))):
        if value != folder.name:
            yield f"{folder}: {what} says key {value}"


def _key_of(file: Path) -> str | None:
    try:
        return Run.from_json(file.read_text(encoding="utf-8")).key
    except (OSError, ValueError, KeyError, TypeError):
        return None
