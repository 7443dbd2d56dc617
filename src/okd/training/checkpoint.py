"""Resume files that survive a kill at any moment and are never believed unless their hash is right.

`torch.load` accepts nine of ten flipped bits, so the SHA-256 of each file stands in the index and is checked before loading.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from okd.training.disk import require_space, write_whole
from okd.training.entries import Entry, entries_of, name_of, prune, read_index, say, set_aside, store_problem, unlisted, write_index

KEEP = 2
STORE_BYTES = 100_000_000  # a larger tensor lies beside the resume file and is not written again while it stays the same
FINITE = ("group", "teacher", "optimizer")
STORE, DTYPE, SHAPE = "okd store", "dtype", "shape"


class NotFinite(Exception):
    """A weight is not finite: the state is not worth keeping."""


def save(folder: Path, state: dict[str, Any], *, step: int, key: str, may_write: Callable[[], None] = lambda: None) -> None:
    """Write `resume-<step>-<hash>.pt` and then the index that names it. Raises NotFinite, DiskError, and what `may_write` raises."""
    _refuse_not_finite({part: state.get(part) for part in FINITE})
    folder.mkdir(parents=True, exist_ok=True)
    stores: list[str] = []
    buffer = io.BytesIO()
    torch.save({"key": key, "step": step, "state": _set_apart(state, folder, stores)}, buffer)
    raw = buffer.getvalue()
    digest = hashlib.sha256(raw).hexdigest()
    entry = Entry(file=name_of(step, digest), step=step, key=key, bytes=len(raw), sha256=digest, stores=stores)
    require_space(folder / entry.file, len(raw))
    write_whole(folder / entry.file, raw, may_write=may_write)
    may_write()
    older = [old for old in read_index(folder) or [] if old.step != step and (folder / old.file).is_file()]  # some were set aside
    entries = [entry, *older][:KEEP]
    write_index(folder, entries)
    may_write()
    prune(folder, entries)


def load(folder: Path, *, key: str) -> dict[str, Any] | None:
    """The newest good state, or None where there is none yet.

    A damaged file is set aside with one line. Raises ValueError where files of this run exist and none is good, or where one belongs
    to another spec.
    """
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    entries = entries_of(folder, key=key)
    for entry in chain(entries, unlisted(folder, entries, key=key)):
        _require_key(folder / entry.file, entry.key, key)
        try:
            return _read(folder, entry, key)
        except _Damaged as problem:
            set_aside(folder / entry.file)
            say(f"{entry.file} {problem}; set aside")
    if entries:
        raise ValueError(f"no checkpoint in {folder} can be trusted; delete the folder to start this run again")
    return None


class _Damaged(Exception):
    pass


def _read(folder: Path, entry: Entry, key: str) -> dict[str, Any]:
    """Check, then load the very bytes that were checked."""
    if problem := entry.problem(folder):
        raise _Damaged(problem)
    raw = (folder / entry.file).read_bytes()
    if hashlib.sha256(raw).hexdigest() != entry.sha256:
        raise _Damaged("changed while it was read")
    try:
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that somebody made up does to the reader
        raise _Damaged(f"cannot be loaded safely ({type(error).__name__})") from error
    if not isinstance(content, dict) or not isinstance(content.get("key"), str) or not isinstance(content.get("state"), dict):
        raise _Damaged("is not a resume file")
    _require_key(folder / entry.file, content["key"], key)
    try:
        return _put_back(content["state"], folder)
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise _Damaged(f"names a store that cannot be read ({type(error).__name__})") from error


def _require_key(file: Path, found: str, key: str) -> None:
    if found != key:
        raise ValueError(f"{file} belongs to another spec ({found}, not {key}); delete its folder to start this run again")


def _set_apart(value: Any, folder: Path, stores: list[str]) -> Any:
    """The same state with its large tensors written to files of their own."""
    if isinstance(value, Tensor) and value.nbytes > STORE_BYTES:
        flat = value.detach().cpu().contiguous()
        raw = flat.view(-1).view(torch.uint8).numpy().data
        name = f"store-{hashlib.sha256(raw).hexdigest()}.bin"
        if name not in stores:
            stores.append(name)
        if store_problem(folder / name):
            require_space(folder / name, len(raw))
            write_whole(folder / name, raw)
        return {STORE: name, DTYPE: str(flat.dtype).removeprefix("torch."), SHAPE: list(flat.shape)}
    if isinstance(value, dict):
        return {name: _set_apart(part, folder, stores) for name, part in value.items()}
    return [_set_apart(part, folder, stores) for part in value] if isinstance(value, list | tuple) else value


def _put_back(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        if STORE not in value:
            return {name: _put_back(part, folder) for name, part in value.items()}
        if problem := store_problem(folder / value[STORE]):
            raise _Damaged(f"needs {value[STORE]}, which {problem}")
        raw = torch.from_numpy(np.fromfile(folder / value[STORE], np.uint8))
        return raw.view(getattr(torch, value[DTYPE])).view(value[SHAPE])
    return [_put_back(part, folder) for part in value] if isinstance(value, list) else value


def _refuse_not_finite(state: dict[str, Any]) -> None:
    """Wait for the device once, not once a tensor."""
    tensors = list(_floating(state, ""))
    if not tensors:
        return
    device = tensors[0][1].device
    finite = torch.stack([torch.isfinite(tensor).all().to(device) for _, tensor in tensors]).tolist()
    if not all(finite):
        raise NotFinite(tensors[finite.index(False)][0])


def _floating(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, dict | list | tuple):
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _floating(inner, f"{name}.{part}" if name else str(part))


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
