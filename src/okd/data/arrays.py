"""A data set on disk: arrays, and the manifest that says what they must be. No torch."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from okd.plan.settings import write_atomically

SPLITS = ("train", "test")
FILES = tuple(f"{split}_{part}.npy" for split in SPLITS for part in ("images", "labels"))
LIST = "arrays.files"  # stands in data/<name>/ for arrays that lie outside the checkout
CHUNK = 4096  # images


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
    verified: bool = True  # False: not shown to be the official bytes, taken because data.accept allows it
    names: list[str] = field(default_factory=list)  # of the classes, where a user's folders name them

    def to_json(self) -> str:
        record = asdict(self)
        if not self.names:
            del record["names"]
        return json.dumps(record, indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def read(file: Path) -> "Manifest":
        """Raises DataError with what to type."""
        name = file.name.removesuffix(".manifest.json")
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            return Manifest(**record | {"splits": {split: SplitFacts(**record["splits"][split]) for split in SPLITS}})
        except FileNotFoundError:
            raise DataError(f"data/{file.name} is missing: run `okd fetch {name}`") from None
        except (ValueError, TypeError, KeyError):
            raise DataError(f"data/{file.name} is damaged: delete it, or restore it with git, and run `okd fetch {name}`") from None


def facts(part: Split, classes: int) -> SplitFacts:
    return SplitFacts(count=len(part.labels), sha256=part.content_hash(), per_class=np.bincount(part.labels, minlength=classes).tolist())


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel in 0..1, from the exact number of times that each grey value occurs."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(images), CHUNK):
        for channel, row in enumerate(counts):
            row += np.bincount(images[start : start + CHUNK, channel].ravel(), minlength=256)
    share, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    return [round(float(value), 6) for value in mean], [round(float(value), 6) for value in std]


def manifest_file(root: Path, name: str) -> Path:
    return root / "data" / f"{name}.manifest.json"


def folder_of(name: str, root: Path, outside: str | None) -> Path:
    """Where a data set's arrays lie: in data/, or in the folder outside the checkout that data.root names. Raises DataError."""
    if outside is None:
        return root / "data" / name
    where = root / Path(outside).expanduser()
    if not where.is_dir():
        raise DataError(f"data.root: {where} is not a folder: make it, or set data.root: null in params.yaml")
    return where / name


def complete(folder: Path) -> bool:
    return all((folder / file).is_file() for file in FILES)


def unchecked(folder: Path, split: str) -> Split:
    """A split as it lies there, memory-mapped. Raises OSError, ValueError or EOFError."""
    return Split(*(np.load(folder / f"{split}_{part}.npy", mmap_mode="r", allow_pickle=False) for part in ("images", "labels")))


def load(name: str, root: Path, folder: Path | None = None) -> tuple[Manifest, dict[str, Split]]:
    """The arrays of a folder (data/<name>/), memory-mapped. Raises DataError where a byte differs from the manifest."""
    manifest = Manifest.read(manifest_file(root, name))
    folder = folder or root / "data" / name
    place = folder.relative_to(root) if folder.is_relative_to(root) else folder
    splits = {}
    for split in SPLITS:
        try:
            splits[split] = unchecked(folder, split)
        except FileNotFoundError:
            raise DataError(f"{place}/ has no {split} arrays: run `okd fetch {name}`") from None
        except (ValueError, OSError, EOFError, OverflowError) as error:
            raise DataError(f"{place}/: damaged {split} arrays ({error}); delete the folder and run `okd fetch {name}`") from None
        if not _as_described(splits[split], manifest, manifest.splits[split]):
            raise DataError(
                f"{place}/{split}_images.npy or its labels differ from data/{name}.manifest.json; "
                f"delete the folder and run `okd fetch {name}`"
            )
    return manifest, splits


def _as_described(part: Split, manifest: Manifest, expected: SplitFacts) -> bool:
    return (
        part.images.dtype == np.uint8
        and part.labels.dtype == np.int16
        and part.images.shape == (expected.count, *manifest.shape)
        and part.labels.shape == (expected.count,)
        and part.content_hash() == expected.sha256
    )


def require_ours(folder: Path) -> None:
    """Raises DataError where a folder outside the checkout holds anything that `write` would take away and did not make."""
    strange = sorted(set(os.listdir(folder)) - set(FILES)) if folder.is_dir() else []  # noqa: PTH208 - names only
    if strange:
        raise DataError(f"data.root: {folder} holds other files than arrays of ours, {strange[0]} for one; nothing was written")


def write_list(folder: Path, arrays: Path) -> None:
    """Stand in for arrays that lie elsewhere: one line a file, SHA-256, size and name; arrays that lay here before go."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (folder / file).unlink(missing_ok=True)
    lines = []
    for file in FILES:
        with (arrays / file).open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {(arrays / file).stat().st_size}  {file}\n")
    write_atomically(folder / LIST, lambda stream: stream.writelines(lines))


def write(folder: Path, splits: Mapping[str, Split]) -> None:
    """Put the arrays into a folder as a whole: a kill leaves the old folder, none, or the new one."""
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
