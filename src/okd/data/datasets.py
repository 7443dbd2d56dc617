"""Data sets as arrays: preparing, hashing, checking. No torch, and scikit-learn only to make the digits."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from okd.plan.catalog import catalog, unknown
from okd.plan.settings import write_atomically

SPLITS = ("train", "test")


class DataError(Exception):
    """Data is missing or not what it should be: exit code 4."""


@dataclass(frozen=True)
class Split:
    images: np.ndarray  # (N, C, H, W) uint8
    labels: np.ndarray  # (N,) int16

    def content_hash(self) -> str:
        """SHA-256 over the images in official order, then the labels as little-endian 16-bit integers."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels.astype("<i2")).data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    count: int
    sha256: str
    per_class: list[int]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The small committed description of a data set; every result repeats its hashes."""

    name: str
    revision: int
    classes: int
    shape: list[int]  # channels, height, width
    mean: list[float]  # of each channel of the training images, in 0..1
    std: list[float]
    source: str
    licence: str
    splits: dict[str, SplitFacts]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @staticmethod
    def read(file: Path) -> "Manifest":
        """Raises DataError with what to type."""
        name = file.name.removesuffix(".manifest.json")
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            return Manifest(**record | {"splits": {split: SplitFacts(**facts) for split, facts in record["splits"].items()}})
        except FileNotFoundError:
            raise DataError(f"data/{file.name} is missing: run `okd fetch {name}`") from None
        except (ValueError, TypeError, KeyError):
            raise DataError(f"data/{file.name} is damaged: delete it, or restore it with git, and run `okd fetch {name}`") from None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a data set comes from, and how it becomes arrays."""

    source: str
    licence: str
    prepare: Callable[[], Mapping[str, Split]]


def digits() -> dict[str, Split]:
    """scikit-learn's handwritten digits: 8x8 grey values 0..16, enlarged to 16x16 and three equal channels; every fifth is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey.repeat(2, axis=1).repeat(2, axis=2)[:, None], 3, axis=1)
    labels = bunch.target.astype(np.int16)
    test = np.arange(len(labels)) % 5 == 0
    return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}


ORIGINS: Mapping[str, Origin] = {
    "digits": Origin(
        source="scikit-learn load_digits: test set of the UCI ML hand-written digits, E. Alpaydin and C. Kaynak, 1998",
        licence="CC BY 4.0",
        prepare=digits,
    ),
}


def fetch(name: str, root: Path) -> str:
    """Make data/<name>/ hold checked arrays and data/<name>.manifest.json describe them; say in one line what was done.

    Idempotent. Raises DataError where the arrays differ from a manifest that is there already.
    """
    if name not in ORIGINS:
        raise DataError(unknown("data set", name, ORIGINS))
    folder, file = root / "data" / name, manifest_file(root, name)
    folder.parent.mkdir(exist_ok=True)
    with _one_at_a_time(root / "scratch" / f"fetch-{name}.lock"):
        manifest = Manifest.read(file) if file.exists() else None
        done = "checked"
        if not all((folder / array).is_file() for array in _array_names()):
            splits = ORIGINS[name].prepare()
            fresh = describe(name, splits)
            if manifest is not None and fresh != manifest:
                raise DataError(f"data/{name}: what was prepared is not what data/{file.name} describes; nothing was written")
            _write_arrays(folder, splits)
            if manifest is None:
                write_atomically(file, lambda stream: stream.write(fresh.to_json()))
            done = "prepared"
        read_arrays(name, root)
        write_atomically(folder / "READY", lambda stream: stream.write(hashlib.sha256(file.read_bytes()).hexdigest() + "\n"))
    return f"data/{name}: {done}"


def describe(name: str, splits: Mapping[str, Split]) -> Manifest:
    """The manifest of prepared arrays."""
    entry, train = catalog().datasets[name], splits["train"].images
    scaled = train.astype(np.float64) / 255
    return Manifest(
        name=name,
        revision=entry.revision or 0,
        classes=entry.classes,
        shape=list(train.shape[1:]),
        mean=[round(float(value), 6) for value in scaled.mean(axis=(0, 2, 3))],
        std=[round(float(value), 6) for value in scaled.std(axis=(0, 2, 3))],
        source=ORIGINS[name].source,
        licence=ORIGINS[name].licence,
        splits={
            split: SplitFacts(
                count=len(part.labels),
                sha256=part.content_hash(),
                per_class=np.bincount(part.labels, minlength=entry.classes).tolist(),
            )
            for split, part in splits.items()
        },
    )


def read_arrays(name: str, root: Path) -> tuple[Manifest, dict[str, Split]]:
    """The checked arrays, memory-mapped. Raises DataError where a byte differs from the manifest."""
    manifest = Manifest.read(manifest_file(root, name))
    folder = root / "data" / name
    splits = {}
    for split in SPLITS:
        try:
            parts = [np.load(folder / f"{split}_{part}.npy", mmap_mode="r", allow_pickle=False) for part in ("images", "labels")]
        except FileNotFoundError:
            raise DataError(f"data/{name}/ has no {split} arrays: run `okd fetch {name}`") from None
        except (ValueError, OSError) as error:
            raise DataError(f"data/{name}/: damaged {split} arrays ({error}); delete the folder and run `okd fetch {name}`") from None
        splits[split] = Split(*parts)
        if splits[split].content_hash() != manifest.splits[split].sha256:
            raise DataError(
                f"data/{name}/{split}_images.npy and labels differ from data/{name}.manifest.json; delete the folder and run `okd fetch {name}`"
            )
    return manifest, splits


def manifest_file(root: Path, name: str) -> Path:
    return root / "data" / f"{name}.manifest.json"


def _array_names() -> list[str]:
    return [f"{split}_{part}.npy" for split in SPLITS for part in ("images", "labels")]


def _write_arrays(folder: Path, splits: Mapping[str, Split]) -> None:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for split, part in splits.items():
            np.save(temporary / f"{split}_images.npy", part.images, allow_pickle=False)
            np.save(temporary / f"{split}_labels.npy", part.labels.astype(np.int16), allow_pickle=False)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
