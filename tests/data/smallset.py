"""CIFAR-10 with sixty images, in every form in which it can be found."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pickles import batch, tar

from okd.data import cifar, download
from okd.data.arrays import Split
from okd.data.cifar import Version, binary, pickled
from okd.data.datasets import ORIGINS, Origin
from okd.data.download import File
from okd.plan.settings import DataSettings

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 3072), dtype=np.uint8)
LABELS = [i % 10 for i in range(60)]
RECORDS = np.concatenate([np.array(LABELS, np.uint8)[:, None], IMAGES], axis=1).tobytes()
FILES = {"train.bin": RECORDS[: 50 * 3073], "test.bin": RECORDS[50 * 3073 :]}
PICKLES = {"train": batch(IMAGES[:50], LABELS[:50]), "test": batch(IMAGES[50:], LABELS[50:])}
ARCHIVE = tar([(f"small/{name}", raw) for name, raw in FILES.items()])
REPACKED = tar([("small/readme.txt", b"hello"), *((f"small/{name}", raw) for name, raw in FILES.items())])
OTHER = tar([("small/train.bin", FILES["train.bin"]), ("small/test.bin", FILES["test.bin"][:-1] + b"\0")])
PYTHON = tar([(f"small-py/{name}", raw) for name, raw in PICKLES.items()])


def file(name: str, raw: bytes) -> File:
    return File(name=name, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}", size=len(raw))


def settings(
    accept: str = "verified", folder: Path | None = None, mirror: str | None = None, root: Path | str | None = None
) -> DataSettings:
    return DataSettings.model_validate({
        "accept": accept,
        "folder": str(folder) if folder else None,
        "mirror": [mirror] if mirror else None,
        "root": str(root) if root else None,
    })  # fmt: skip


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


def shrink(monkeypatch: pytest.MonkeyPatch) -> Origin:
    """CIFAR-10 shrunk to 50 and 10 images; its training split's content is pinned, the test split's is not."""
    monkeypatch.setattr(download, "PAUSE_S", 0.01)
    monkeypatch.setattr(cifar, "TRAIN", 50)
    monkeypatch.setattr(cifar, "TEST", 10)
    small = Version(
        archive=file("small.tar.gz", ARCHIVE),
        folder="small",
        files=tuple(file(name, raw) for name, raw in FILES.items()),
        decode=lambda raw, rows: binary(raw, rows, label_bytes=1, classes=10),
    )
    python = Version(
        archive=file("small-python.tar.gz", PYTHON),
        folder="small-py",
        files=tuple(file(name, raw) for name, raw in PICKLES.items()),
        decode=lambda raw, rows: pickled(raw, rows, key="labels", classes=10),
        pickled=True,
    )
    train = Split(IMAGES[:50].reshape(-1, 3, 32, 32), np.array(LABELS[:50], np.int16)).content_hash()
    made = Origin(source="here", licence="none", forms=(*small.forms(), *python.forms()), content={"train": train})
    monkeypatch.setitem(ORIGINS, "cifar10", made)
    return made


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "archive": lambda folder: put(folder, {"small.tar.gz": ARCHIVE}),
    "unpacked": lambda folder: put(folder / "small", FILES).parent,
    "its own folder": lambda folder: put(folder, FILES),
    "Python archive": lambda folder: put(folder, {"small-python.tar.gz": PYTHON}),
    "Python unpacked": lambda folder: put(folder / "small-py", PICKLES).parent,
    "one right, one wrong": lambda folder: put(put(folder, {"small.tar.gz": OTHER}) / "small", FILES).parent,
}
