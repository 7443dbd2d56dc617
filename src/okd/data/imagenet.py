"""ImageNet-2012 in its three official archives: listed and read where they lie, never unpacked and never copied.

Paths and labels are those of the folder that torchvision makes of them, so both forms have the same manifest.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from okd.data.archive import members
from okd.data.arrays import DataError
from okd.data.download import File, Say
from okd.data.images import Archive, Listing
from okd.plan.settings import DataSettings

TRAIN = File(name="ILSVRC2012_img_train.tar", digest="md5:1d675b47d978889d74fa0da5fadfb00e", size=None)
VAL = File(name="ILSVRC2012_img_val.tar", digest="md5:29b22e2961454d5413ddabcf34fc5622", size=None)
DEVKIT = File(name="ILSVRC2012_devkit_t12.tar.gz", digest="md5:fa75699e90414af021442c21a62c3abf", size=None)
META, TRUTH = "ILSVRC2012_devkit_t12/data/meta.mat", "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
LARGEST = {META: 4 << 20, TRUTH: 1 << 20}  # bytes
CLASS_TAR, IMAGE, NUMBERED = re.compile(r"(n\d{8})\.tar"), re.compile(r"n\d{8}_\d+\.JPEG"), re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
LARGEST_IMAGE = 64 << 20
BLOCK, CHUNK = tarfile.BLOCKSIZE, 1 << 20
SLICE = 10_000  # images between two signs of life

Row = tuple[str, int, str, int]  # path, size, SHA-256, where in the archive


def packed(folder: Path) -> bool:
    """Whether the archives lie there, and nobody has unpacked them."""
    return (folder / TRAIN.name).is_file() and not (folder / "train").is_dir()


def listings(folder: Path, settings: DataSettings, say: Say) -> tuple[dict[str, Listing], bool]:
    """Both splits, and whether every archive's checksum is the published one.

    Raises DataError where it is not and data.accept is `verified`, and where a member does not belong into such an archive.
    """
    missing = [file.name for file in (VAL, DEVKIT) if not (folder / file.name).is_file()]
    if missing:
        raise DataError(f"{folder} holds {TRAIN.name}, but no {' and no '.join(missing)}")
    official = DEVKIT.matches(folder / DEVKIT.name)  # small: checked before it is opened
    _require(official, folder / DEVKIT.name, settings)
    truth = _truth(folder / DEVKIT.name)
    found = {}
    for split, file in (("test", VAL), ("train", TRAIN)):  # the smaller one first
        with (folder / file.name).open("rb") as stream:
            tape = _Tape(stream, folder / file.name)
            rows = list(_told(_validation(tape, truth) if split == "test" else _training(tape), split, say))
            right = f"md5:{tape.to_the_end()}" == file.digest
        _require(right, folder / file.name, settings)
        official = official and right
        rows.sort()
        paths, sizes, hashes, offsets = ([row[column] for row in rows] for column in range(4))
        found[split] = Listing(paths, sizes, hashes, Archive(file.name, (folder / file.name).stat().st_size, offsets))  # type: ignore[arg-type]
    return found, official


def _require(right: bool, file: Path, settings: DataSettings) -> None:
    if not right and settings.accept == "verified":
        raise DataError(f"{file} is not the official file (checksum differs); data.accept: unverified in params.yaml would take it")


def _told(rows: Iterator[Row], split: str, say: Say) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        yield row
        if number % SLICE == 0:
            say(f"{split}: {number:,} images read")


def _training(tape: "_Tape") -> Iterator[Row]:
    """One tar for each class, inside the tar."""
    for outer in tape.members(tape.size):
        wanted = tape.named(CLASS_TAR, outer)
        for inner in tape.members(tape.position + outer.size):
            name = tape.named(IMAGE, inner)[0]
            yield (f"train/{wanted[1]}/{name}", inner.size, *tape.hashed(inner))


def _validation(tape: "_Tape", truth: list[str]) -> Iterator[Row]:
    """Image number i is of the class that stands in line i of the ground truth."""
    for member in tape.members(tape.size):
        found = tape.named(NUMBERED, member)
        number = int(found[1])
        if not 1 <= number <= len(truth):
            raise DataError(f"{tape.file}: {found[0]}, but the ground truth has {len(truth)} lines")
        yield (f"val/{truth[number - 1]}/{found[0]}", member.size, *tape.hashed(member))


def _truth(devkit: Path) -> list[str]:
    """The class of each validation image, as WordNet's id."""
    meta, lines = members(devkit, LARGEST)
    command = [sys.executable, "-m", "okd.data.matlab", "synsets"]
    done = subprocess.run(command, input=meta, capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["its reader died"])[-1]
        raise DataError(f"{devkit}: {META} cannot be read ({reason})")
    classes = dict(json.loads(done.stdout))
    try:
        return [classes[int(line)] for line in lines.decode("ascii").split()]
    except (ValueError, KeyError, UnicodeDecodeError):
        raise DataError(f"{devkit}: {TRUTH} is no list of class numbers") from None


class _Tape:
    """A tar read once from its beginning to its end, by headers of the plain kind only; every byte counts for its MD5."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self.stream, self.file, self.position, self.digest = stream, file, 0, hashlib.md5(usedforsecurity=False)
        self.size = file.stat().st_size

    def read(self, size: int) -> bytes:
        raw = self.stream.read(size)
        if len(raw) != size:
            raise DataError(f"{self.file}: ends early, after {self.position + len(raw):,} bytes")
        self.digest.update(raw)
        self.position += size
        return raw

    def members(self, end: int) -> Iterator[tarfile.TarInfo]:
        """Files up to a position; the caller reads any part of each. Raises DataError for everything else that a tar may hold."""
        while self.position < end:
            header = self.read(BLOCK)
            if header == bytes(BLOCK):  # the end of a tar
                break
            try:
                member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
            except (tarfile.HeaderError, UnicodeDecodeError) as error:
                raise DataError(f"{self.file}: damaged before byte {self.position:,} ({error})") from None
            after = self.position + -(-member.size // BLOCK) * BLOCK
            if not (member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.size >= 0 and after <= end):
                raise DataError(f"{self.file}: member {member.name[:80]!r} does not belong into this archive")
            yield member
            self._on_to(after)
        self._on_to(end)

    def named(self, pattern: re.Pattern[str], member: tarfile.TarInfo) -> re.Match[str]:
        found = pattern.fullmatch(str(PurePosixPath(member.name)))
        if found is None:
            raise DataError(f"{self.file}: member {member.name[:80]!r} does not belong into this archive")
        return found

    def hashed(self, member: tarfile.TarInfo) -> tuple[str, int]:
        """SHA-256 of the member whose content comes next, and where that begins."""
        if member.size > LARGEST_IMAGE:
            raise DataError(f"{self.file}: member {member.name[:80]!r} is too large for an image")
        start = self.position
        return hashlib.sha256(self.read(member.size)).hexdigest(), start

    def to_the_end(self) -> str:
        self._on_to(self.size)
        return self.digest.hexdigest()

    def _on_to(self, position: int) -> None:
        while self.position < position:
            self.read(min(CHUNK, position - self.position))
