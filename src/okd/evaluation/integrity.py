"""Whether results are still what their trainer wrote: every file hashed again, every key recomputed, every count counted."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from okd.plan.run import Run
from okd.plan.store import FILES, read_json

RECORDED = tuple(name for name in FILES if name != "result.json")


def result_folders(root: Path) -> list[Path]:
    """Every `results/<scale>/<id>/<key>/`. A trainer leaves only whole ones there."""
    return sorted(folder for folder in (root / "results").glob("*/*/*") if folder.is_dir() and folder.parents[1].name not in ("new", "old"))


def problems(folder: Path) -> Iterator[str]:
    """What does not hold in one result, a line each; nothing where all is well."""
    record = read_json(folder / "result.json")
    if record is None or not isinstance(record.get("sha256"), dict):
        yield f"{folder / 'result.json'}: is {'not a result' if (folder / 'result.json').exists() else 'missing'}"
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
    if not _counts_hold(folder, record):
        yield f"{folder / 'result.json'}: its counts of correct answers are not those of predictions.npz"


def _counts_hold(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the headline numbers, which no hash covers, are what the stored answers give; true where those cannot be read."""
    if record.get("status") != "done" or not (folder / "predictions.npz").is_file():
        return True
    try:
        with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
            labels, counts = arrays["labels"], record.get("test_correct")
            rows = {name.removesuffix("_top5"): arrays[name] for name in arrays.files if name.endswith("_top5")}
            return counts == {row: int((best[:, 0] == labels).sum()) for row, best in rows.items()}
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
        return True  # its hash is wrong, which has been said


def _key_of(file: Path) -> str | None:
    try:
        return Run.from_json(file.read_text(encoding="utf-8")).key
    except (OSError, ValueError, KeyError, TypeError):
        return None
