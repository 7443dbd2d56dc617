"""A data set that the user supplies as a folder of image files: listed and hashed where it lies, never copied."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from okd.data.arrays import SPLITS, DataError, Manifest, SplitFacts, manifest_file
from okd.data.download import Say
from okd.plan.catalog import DatasetEntry
from okd.plan.settings import DataSettings, write_atomically

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FOLDERS = {"train": ("train",), "test": ("val", "test")}
SLICE = 10_000  # files between two signs of life


@dataclass(frozen=True)
class Listing:
    """The files of a split, sorted by path; the classes are the names of their folders in alphabetical order, as in torchvision."""

    paths: list[str]  # below the data set's folder
    sizes: list[int]
    hashes: list[str]

    @property
    def classes(self) -> list[str]:
        return sorted({path.split("/")[1] for path in self.paths})

    @property
    def labels(self) -> np.ndarray:
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number[path.split("/")[1]] for path in self.paths], np.int16)

    def text(self) -> str:
        """One line a file. Its SHA-256 is the split's identity."""
        rows = zip(self.hashes, self.sizes, self.paths, strict=True)
        return "".join(f"{digest}  {size}  {path}\n" for digest, size, path in rows)

    def facts(self) -> SplitFacts:
        return SplitFacts(
            count=len(self.paths), sha256=hashlib.sha256(self.text().encode()).hexdigest(), per_class=np.bincount(self.labels).tolist()
        )

    @staticmethod
    def parse(text: str) -> "Listing":
        """Raises ValueError."""
        rows = [line.split("  ", 2) for line in text.split("\n") if line]
        return Listing([row[2] for row in rows], [int(row[1]) for row in rows], [row[0] for row in rows])


def supplied_folder(name: str, root: Path, settings: DataSettings) -> Path:
    """Where the images lie. Raises DataError with what to type."""
    what = f"{name} is a folder of images that you supply"
    if settings.folder is None:
        raise DataError(f"{what}: set data.folder in params.yaml to the folder in which {name}/train and {name}/val are")
    folder = root / Path(settings.folder).expanduser() / name
    if not folder.is_dir():
        raise DataError(f"{what}, but there is no {folder}")
    return folder


def describe(entry: DatasetEntry, folder: Path, say: Say) -> tuple[dict[str, Listing], dict[str, SplitFacts]]:
    """List and hash every image. Raises DataError where the counts are not the catalog's."""
    listings = {split: _listed(folder, split, say) for split in SPLITS}
    facts = {split: listing.facts() for split, listing in listings.items()}
    if listings["train"].classes != listings["test"].classes:
        strange = sorted(set(listings["train"].classes) ^ set(listings["test"].classes))
        raise DataError(f"{folder}: {len(strange)} classes are in one of its two parts only, the first is {strange[0]}")
    found = (len(listings["train"].classes), facts["train"].count, facts["test"].count)
    if found != (entry.classes, entry.train, entry.test):
        raise DataError(
            f"{folder} holds classes: {found[0]}, train: {found[1]}, test: {found[2]}, but the catalog says "
            f"classes: {entry.classes}, train: {entry.train}, test: {entry.test}"
        )
    return listings, facts


def _listed(folder: Path, split: str, say: Say) -> Listing:
    place = next((folder / name for name in FOLDERS[split] if (folder / name).is_dir()), None)
    if place is None:
        raise DataError(f"{folder} has no folder {' or '.join(FOLDERS[split])}")
    files = sorted(
        (file.relative_to(folder).as_posix(), file) for file in place.glob("*/**/*") if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    if not files:
        raise DataError(f"{place} holds no images: they must lie in one folder for each class")
    if strange := next((path for path, _ in files if not path.isprintable()), None):
        raise DataError(f"{folder}: the name {strange!r} cannot be listed")
    hashes = list[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), SLICE):
            hashes += pool.map(_hash, (file for _, file in files[start : start + SLICE]))
            if len(files) > SLICE:
                say(f"{split}: {len(hashes):,} of {len(files):,} images read")
    return Listing([path for path, _ in files], [file.stat().st_size for _, file in files], hashes)


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(folder: Path, listings: Iterable[tuple[str, Listing]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, listing in listings:
        text = listing.text()
        write_atomically(_list_file(folder, split), lambda stream, text=text: stream.write(text))


def complete(folder: Path) -> bool:
    return all(_list_file(folder, split).is_file() for split in SPLITS)


def load(name: str, root: Path) -> tuple[Manifest, dict[str, Listing]]:
    """The lists. Raises DataError where they are not what the manifest says."""
    manifest = Manifest.read(manifest_file(root, name))
    listings = {}
    for split in SPLITS:
        file = _list_file(root / "data" / name, split)
        try:
            listings[split] = Listing.parse(file.read_text(encoding="utf-8"))
            as_described = listings[split].facts() == manifest.splits[split]
        except (OSError, ValueError, IndexError):
            as_described = False
        if not as_described:
            raise DataError(f"data/{name}/{file.name} is missing or differs from data/{name}.manifest.json: run `okd fetch {name}` again")
    return manifest, listings


def check_sizes(listings: Iterable[Listing], folder: Path) -> None:
    """Raises DataError where a file is gone or has another size; its bytes are checked when it is read."""
    for listing in listings:
        for path, size in zip(listing.paths, listing.sizes, strict=True):
            try:
                found = os.stat(folder / path).st_size  # noqa: PTH116 - a million times
            except OSError:
                raise DataError(f"{folder / path} is gone") from None
            if found != size:
                raise DataError(f"{folder / path} has {found:,} bytes; it had {size:,} when `okd fetch` described it")


def _list_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.files"
