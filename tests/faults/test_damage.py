"""Rows D1 to D3: damaged and forged checkpoints. None is ever loaded; the one before is used, with one line."""

import hashlib
import io
import os
import pickle
import random
import shutil
import signal
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from child import Nursery, after
from tiny import Trial

from okd.plan.store import read_json, write_json
from okd.training import checkpoint
from okd.training.entries import Entry, read_index, write_index
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)


@pytest.fixture(scope="module")
def made(nursery: Nursery, trial: Callable[[str], Trial]) -> Trial:
    """A run that was killed with two checkpoints."""
    one = trial("resnet8-baseline").fresh()
    killed = nursery.train(one, hooks=[after(_Sitting, "after_step", lambda: os.kill(os.getpid(), signal.SIGKILL), nth=7)])
    assert killed.code == -signal.SIGKILL
    return one


@pytest.fixture
def folder(made: Trial, tmp_path: Path) -> Path:
    """A copy of its scratch folder."""
    shutil.copytree(made.scratch, tmp_path / "scratch")
    return tmp_path / "scratch"


def entries(folder: Path) -> list[Entry]:
    found = read_index(folder)
    assert found is not None
    return found


def step_of(folder: Path, made: Trial) -> int:
    state = checkpoint.load(folder, key=made.run.key)
    assert state is not None
    return state["epoch"] * 5 + state["step"]


def damages(good: bytes, dice: random.Random, tens: int) -> list[tuple[str, bytes]]:
    """Of ten: cut at 50 places, 100 flipped bits, 20 pages of zeros."""
    cuts = [("cut", good[: dice.randrange(len(good))]) for _ in range(5 * tens)]
    flips, pages = [], []
    for _ in range(10 * tens):
        bad = bytearray(good)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        flips.append(("flip", bytes(bad)))
    while len(pages) < 2 * tens:
        start = dice.randrange(len(good) // 4096) * 4096
        bad = good[:start] + bytes(4096) + good[start + 4096 :]
        if bad != good:
            pages.append(("page", bad))
    return [*cuts, *flips, *pages]


def read_unchecked(raw: bytes) -> str | None:
    """What torch alone makes of it: a digest, or None where it refuses."""
    try:
        return checkpoint.digest(torch.load(io.BytesIO(raw), weights_only=True))
    except Exception:
        return None


@pytest.mark.parametrize("tens", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_damaged_files_and_none_is_loaded(tens: int, folder: Path, made: Trial, capsys: pytest.CaptureFixture, record_property) -> None:
    newest, before = entries(folder)
    file, index = folder / newest.file, (folder / "resume.json").read_bytes()
    good = file.read_bytes()
    whole = read_unchecked(good)
    wrong, silent = 0, Counter[str](cut=0, flip=0, page=0)
    for kind, bad in damages(good, random.Random(0), tens):
        file.write_bytes(bad)
        (folder / "resume.json").write_bytes(index)
        wrong += step_of(folder, made) != before.step
        assert file.with_suffix(".corrupt").read_bytes() == bad
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"okd: {newest.file} ")
        silent[kind] += read_unchecked(bad) not in (None, whole)
    assert wrong == 0
    assert silent["flip"] > 5 * tens, "the negative control: torch alone loads most flipped bits"
    record_property(
        "table", f"{17 * tens} damaged checkpoints, {wrong} loaded wrong; torch.load alone: {dict(silent)} loaded silently wrong"
    )


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def link_outside(file: Path) -> None:
    outside = file.parent.parent / "outside.pt"
    file.rename(outside)
    file.symlink_to(outside)


ODD: dict[str, Callable[[Path], Any]] = {
    "empty": lambda file: file.write_bytes(b""),
    "random bytes": lambda file: file.write_bytes(random.Random(1).randbytes(file.stat().st_size)),
    "another run's": lambda file: file.write_bytes(_another(file)),
    "a folder": replace_by_folder,
    "a link to a good file outside": link_outside,
    "missing": lambda file: file.unlink(),
}


def _another(file: Path) -> bytes:
    content = torch.load(file, weights_only=True)
    buffer = io.BytesIO()
    torch.save(content | {"key": "0123456789ab"}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ODD)
def test_odd_things_in_its_place(kind: str, folder: Path, made: Trial, capsys: pytest.CaptureFixture) -> None:
    newest, before = entries(folder)
    ODD[kind](folder / newest.file)
    for _ in range(2):  # the second time nothing is left of it
        assert step_of(folder, made) == before.step
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"okd: {newest.file} ")
    assert (folder / newest.file).with_suffix(".corrupt").exists() == (kind != "missing")


@pytest.mark.slow
def test_a_damaged_one_is_trained_past(nursery: Nursery, made: Trial, trial: Callable[[str], Trial], tmp_path: Path) -> None:
    """The whole way: the command line uses the one before and comes to the same end."""
    one = trial("resnet8-baseline")
    kept = shutil.copytree(one.scratch, tmp_path / "kept")
    wanted = nursery.whole(one)
    one.fresh()
    shutil.copytree(kept, one.scratch)
    (one.scratch / entries(kept)[0].file).write_bytes(b"rubbish")
    child = nursery.train(one)
    assert child.code == 0, child.text
    assert len(child.lines("set aside")) == 1
    assert one.bits() == wanted
    one.fresh()
    shutil.copytree(kept, one.scratch)


def test_both_bad(folder: Path, made: Trial) -> None:
    for entry in entries(folder):
        (folder / entry.file).write_bytes(b"rubbish")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no checkpoint .* can be trusted; delete the folder"):
            checkpoint.load(folder, key=made.run.key)


OUTSIDE = {"file": "../outside/resume-7-0123456789abcdef.pt", "step": 9, "bytes": 1, "sha256": "0" * 64, "stores": []}
INDEXES: dict[str, Callable[[Path, str], Any]] = {
    "missing": lambda file, key: file.unlink(),
    "rubbish": lambda file, key: file.write_bytes(b"\x80rubbish"),
    "cut": lambda file, key: file.write_bytes(file.read_bytes()[:100]),
    "another form": lambda file, key: write_json(file, {"newest_first": [{"file": "resume-7.pt"}]}),
    "not a list": lambda file, key: write_json(file, {"newest_first": 7}),
    "pointing outside": lambda file, key: write_json(file, {"newest_first": [OUTSIDE | {"key": key}]}),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_a_bad_index_is_made_again(kind: str, folder: Path, made: Trial, capsys: pytest.CaptureFixture) -> None:
    newest, before = entries(folder)
    INDEXES[kind](folder / "resume.json", made.run.key)
    assert step_of(folder, made) == newest.step
    assert "resume.json" in capsys.readouterr().err
    (folder / newest.file).write_bytes((folder / newest.file).read_bytes()[:-1] + b"x")
    assert step_of(folder, made) == before.step, "the names hold the hashes"
    (folder / before.file).write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="can be trusted"):
        checkpoint.load(folder, key=made.run.key)


def forge(folder: Path, raw: bytes, key: str) -> Entry:
    """Put bytes in the newest one's place, with an index that vouches for them."""
    newest, before = entries(folder)
    digest = hashlib.sha256(raw).hexdigest()
    entry = Entry(file=f"resume-{newest.step}-{digest[:16]}.pt", step=newest.step, key=key, bytes=len(raw), sha256=digest)
    (folder / newest.file).unlink()
    (folder / entry.file).write_bytes(raw)
    write_index(folder, [entry, before])
    return entry


class Runs:
    """What a pickle does when it is loaded without care."""

    def __init__(self, function: Callable[..., Any], argument: str) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, (self.argument,)


def archived(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, raw in content.items():
            archive.writestr(f"archive/{name}", raw)
    return buffer.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def tape(touch: str) -> bytes:
    """torch's oldest format, a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            raw = pickle.dumps(Runs(os.system, touch), 2)
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), buffer)
    return buffer.getvalue()


FORGERIES: dict[str, Callable[[str], bytes]] = {
    "os.system": lambda touch: saved({"key": "k", "state": Runs(os.system, touch)}),
    "eval": lambda touch: saved(Runs(eval, f"__import__('os').system({touch!r})")),
    "the pickle format of old": lambda touch: saved({"state": Runs(os.system, touch)}, _use_new_zipfile_serialization=False),
    "a tape": tape,
    "TorchScript": lambda touch: script(),
    "a zip file by hand": lambda touch: archived({"data.pkl": pickle.dumps(Runs(os.system, touch), 2), "version": b"3"}),
    "a million keys": lambda touch: saved(dict.fromkeys(map(str, range(1_000_000)), 0)),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow if kind == "a million keys" else ()) for kind in FORGERIES])
def test_forged_files_run_nothing(kind: str, folder: Path, made: Trial, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Even where the index vouches for them."""
    marker = tmp_path / "marker"
    forged = forge(folder, FORGERIES[kind](f"touch {marker}"), made.run.key)
    before = entries(folder)[1]
    assert step_of(folder, made) == before.step
    assert not marker.exists()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"okd: {forged.file} ")


def test_the_forgeries_would_work(tmp_path: Path) -> None:
    """The negative control: without weights_only the marker appears."""
    for kind in ("os.system", "eval", "the pickle format of old", "a zip file by hand"):
        marker = tmp_path / kind.replace(" ", "-")
        pickle.loads(pickle.dumps(Runs(os.system, f"touch {marker}")))
        assert marker.exists()


def test_a_store_that_is_damaged_or_gone(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "STORE_BYTES", 100)
        for step in (1, 2):
            rows = torch.full((100,), float(step))
            checkpoint.save(tmp_path, {"group": {}, "teacher": {"rows": rows}, "epoch": 0, "step": step}, step=step, key="k")
    newest = entries(tmp_path)[0]
    for damage in (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), lambda file: file.unlink()):
        kept = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-copy", dirs_exist_ok=True)
        damage(kept / newest.stores[0])
        state = checkpoint.load(kept, key="k")
        assert state is not None
        assert state["step"] == 1
        assert read_json(kept / "resume.json") is not None
        shutil.rmtree(kept)
