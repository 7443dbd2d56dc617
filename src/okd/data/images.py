"""A data set that the user supplies as a folder of image files: listed and hashed where it lies, never copied."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from okd.data.arrays import SPLITS, DataError, Manifest, SplitFacts, manifest_file
from okd.data.download import Say
from okd.plan.catalog import DatasetEntry, catalog
from okd.plan.run import Run
from okd.plan.settings import DataSettings, write_atomically
from okd.plan.supplied import supplied

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FOLDERS = {"train": ("train",), "test": ("val", "test")}
SLICE = 10_000  # files between two signs of life


@dataclass(frozen=True)
class Archive:
    """A tar that holds a split's images, in the data set's folder; where in it each begins, in the list's order."""

    name: str
    size: int
    offsets: list[int]

    def text(self) -> str:
        return f"{self.size}  {self.name}\n" + "".join(f"{offset}\n" for offset in self.offsets)

    @staticmethod
    def parse(text: str) -> "Archive":
        """Raises ValueError."""
        first, *offsets = text.splitlines()
        size, name = first.split("  ")
        return Archive(name, int(size), [int(offset) for offset in offsets])


@dataclass(frozen=True)
class Listing:
    """The files of a split, sorted by path; the classes are the names of their folders in alphabetical order, as in torchvision."""

    paths: list[str]  # below the data set's folder
    sizes: list[int]
    hashes: list[str]
    archive: Archive | None = None  # where the images are not files of their own

    def read(self, index: int, folder: Path) -> bytes:
        """An image's bytes, as they are now."""
        if self.archive is None:
            return (folder / self.paths[index]).read_bytes()
        with (folder / self.archive.name).open("rb") as stream:
            stream.seek(self.archive.offsets[index])
            return stream.read(self.sizes[index])

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
    def parse(text: str, archive: Archive | None = None) -> "Listing":
        """Raises ValueError."""
        rows = [line.split("  ", 2) for line in text.split("\n") if line]
        if archive is not None and len(archive.offsets) != len(rows):
            raise ValueError("another number of images")
        return Listing([row[2] for row in rows], [int(row[1]) for row in rows], [row[0] for row in rows], archive)


def supplied_folder(name: str, root: Path, settings: DataSettings) -> Path:
    """Where the images lie. Raises DataError with what to type."""
    what = f"{name} is a folder of images that you supply"
    if settings.folder is None:
        raise DataError(f"{what}: set data.folder in params.yaml to the folder in which {name}/train and {name}/val are")
    folder = root / Path(settings.folder).expanduser() / name
    if not folder.is_dir():
        raise DataError(f"{what}, but there is no {folder}")
    return folder


def listings_of(folder: Path, say: Say) -> dict[str, Listing]:
    """List and hash every image of a folder."""
    return {split: _listed(folder, split, say) for split in SPLITS}


def described(entry: DatasetEntry, folder: Path, listings: Mapping[str, Listing]) -> dict[str, SplitFacts]:
    """What the manifest says of each split. Raises DataError where the counts are not the catalog's."""
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
    return facts


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
        _offsets_file(folder, split).unlink(missing_ok=True)
        if listing.archive is not None:
            places = listing.archive.text()
            write_atomically(_offsets_file(folder, split), lambda stream, places=places: stream.write(places))


def complete(folder: Path) -> bool:
    return all(_list_file(folder, split).is_file() for split in SPLITS)


def load(name: str, root: Path) -> tuple[Manifest, dict[str, Listing]]:
    """The lists. Raises DataError where they are not what the manifest says."""
    manifest = Manifest.read(manifest_file(root, name))
    listings = {}
    for split in SPLITS:
        file, offsets = _list_file(root / "data" / name, split), _offsets_file(root / "data" / name, split)
        try:
            archive = Archive.parse(offsets.read_text(encoding="utf-8")) if offsets.exists() else None
            listings[split] = Listing.parse(file.read_text(encoding="utf-8"), archive)
            as_described = listings[split].facts() == manifest.splits[split]
        except (OSError, ValueError, IndexError):
            as_described = False
        if not as_described:
            raise DataError(f"data/{name}/{file.name} is missing or differs from data/{name}.manifest.json: run `okd fetch {name}` again")
    return manifest, listings


def require_planned(run: Run, root: Path) -> None:
    """Raises DataError where a run was planned with other images than the manifest describes, if there is one."""
    name = run.dataset.name
    if run.data is not None and supplied(root, catalog()).get(name, run.data) != run.data:
        raise DataError(f"{run.id} was planned with other images than data/{name}.manifest.json describes: run `okd plan`")


def check_sizes(listings: Iterable[Listing], folder: Path) -> None:
    """Raises DataError where a file is gone or has another size; an image's bytes are checked when it is read."""
    for listing in listings:
        archive = listing.archive
        for path, size in [(archive.name, archive.size)] if archive else zip(listing.paths, listing.sizes, strict=True):
            try:
                found = os.stat(folder / path).st_size  # noqa: PTH116 - a million times
            except OSError:
                raise DataError(f"{folder / path} is gone") from None
            if found != size:
                raise DataError(f"{folder / path} has {found:,} bytes; it had {size:,} when `okd fetch` described it")


def _list_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.files"


def _offsets_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.offsets"
