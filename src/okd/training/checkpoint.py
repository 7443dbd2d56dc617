"""Resume files that survive a kill at any moment and are never believed unless their hash is right.

`torch.load` accepts nine of ten flipped bits, so each file's SHA-256 stands in its name's companion and is checked before loading.
"""

import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from okd.plan.store import read_json, sync_folder, write_json

KEEP = 2
INDEX = "resume.json"


class NotFinite(Exception):
    """A weight is not finite: the state is not worth keeping."""


def save(folder: Path, state: dict[str, Any], *, step: int, key: str) -> None:
    """Write `resume-<step>.pt` and then the index that names it. Raises NotFinite, OSError."""
    _refuse_not_finite(state["group"])
    buffer = io.BytesIO()
    torch.save(state, buffer)
    raw = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"resume-{step}.pt"
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    entry = {"file": name, "step": step, "key": key, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    entries = [entry, *(old for old in entries_of(folder) if old["step"] != step)][:KEEP]
    write_json(folder / INDEX, {"newest_first": entries})
    kept = {entry["file"] for entry in entries}
    for file in folder.glob("resume-*.pt"):
        if file.name not in kept:
            file.unlink(missing_ok=True)


def load(folder: Path, *, key: str) -> dict[str, Any] | None:
    """The newest good state, or None where there is none yet.

    A damaged file is set aside with one line. Raises ValueError where files of this run exist and none is good, or where one belongs
    to another spec.
    """
    for leftover in folder.glob(".resume-*.tmp"):
        leftover.unlink(missing_ok=True)
    entries = entries_of(folder)
    for entry in entries:
        if entry["key"] != key:
            raise ValueError(f"{folder / entry['file']} belongs to another spec ({entry['key']}, not {key})")
        file = folder / entry["file"]
        problem = _problem(file, entry)
        if problem is None:
            return torch.load(file, map_location="cpu", weights_only=True)
        if file.exists():
            file.replace(file.with_suffix(".corrupt"))
        print(f"{entry['file']}: {problem}; set aside", file=sys.stderr)
    if entries:
        raise ValueError(f"no checkpoint in {folder} can be trusted; delete the folder to start this run again")
    return None


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """What the index names, newest first; empty where it is missing or damaged."""
    record = read_json(folder / INDEX) or {}
    entries = record.get("newest_first", [])
    wanted = {"file": str, "step": int, "key": str, "bytes": int, "sha256": str}
    return [entry for entry in entries if isinstance(entry, dict) and all(isinstance(entry.get(k), t) for k, t in wanted.items())]


def _problem(file: Path, entry: dict[str, Any]) -> str | None:
    if Path(entry["file"]).name != entry["file"] or file.is_symlink() or not file.is_file():
        return "is missing"
    raw = file.read_bytes()
    if len(raw) != entry["bytes"]:
        return f"has {len(raw)} bytes, not {entry['bytes']}"
    return None if hashlib.sha256(raw).hexdigest() == entry["sha256"] else "SHA-256 mismatch"


def _refuse_not_finite(weights: dict[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NotFinite(name)


def digest(state: Any) -> str:
    """SHA-256 over every byte of a nested state: what "resumed exactly" means."""
    total = hashlib.sha256()
    _feed(total, state)
    return total.hexdigest()


def _feed(total: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous()
        total.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
        total.update(flat.view(torch.uint8).numpy().tobytes() if flat.dim() else flat.numpy().tobytes())
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            total.update(str(name).encode())
            _feed(total, value[name])
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(total, item)
    else:
        total.update(json.dumps(value).encode())
