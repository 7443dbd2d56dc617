"""Reading archives from the network without trusting them: nothing is unpacked to disk, nothing grows beyond its size."""

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from okd.data.arrays import DataError

MOST_MEMBERS = 100
SPARE_BYTES = 16 << 20  # for headers, and for the read-me and the class names that official archives hold beside the data


def members(archive: Path, most: Mapping[str, int]) -> list[bytes]:
    """The named members of a .tar.gz in the order asked for, each a plain file of at most so many bytes.

    Raises DataError on anything that an official archive does not hold: links, devices, paths that lead out, bombs.
    """
    found: dict[str, bytes] = {}
    try:
        with gzip.open(archive) as whole:
            limited = _Limited(whole, sum(most.values()) + SPARE_BYTES)
            stream = _tar(limited)
            for number, member in enumerate(stream):
                path = PurePosixPath(member.name)
                name = str(path)
                if not (member.isreg() or member.isdir()) or path.is_absolute() or ".." in path.parts or number == MOST_MEMBERS:
                    raise DataError(f"{archive}: member {name[:80]!r} does not belong into a data set")
                if name in most:
                    content = stream.extractfile(member)
                    if name in found or member.size > most[name] or content is None:
                        raise DataError(f"{archive}: member {name!r} is there twice, or too large")
                    found[name] = content.read()
            while limited.read(1 << 16):
                pass  # gzip's checksum stands behind the last byte
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{archive}: damaged ({error})") from None
    missing = [name for name in most if name not in found]
    if missing:
        raise DataError(f"{archive}: has no {', '.join(missing)}")
    return [found[name] for name in most]


def content(file: Path, size: int) -> bytes:
    """The bytes of a file, decompressed where its name ends in .gz. Raises DataError unless there are exactly `size`."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            raw = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: damaged ({error})") from None
    if len(raw) != size:
        raise DataError(f"{file}: has {'more' if len(raw) > size else 'fewer'} than {size:,} bytes")
    return raw


def _tar(stream: Any) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|")


class _Limited:
    """A stream that ends with an error after so many bytes: tarfile reads whatever length a header claims."""

    def __init__(self, stream: gzip.GzipFile, left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, size: int) -> bytes:
        raw = self.stream.read(min(size, self.left + 1))
        self.left -= len(raw)
        if self.left < 0:
            raise ValueError("holds more than it should")
        return raw
