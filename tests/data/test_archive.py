"""Row F1: archives that mean harm. Nothing is ever unpacked to disk, so nothing can lead out."""

import gzip
import io
import resource
import struct
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from pickles import tar

from okd.data import archive
from okd.data.archive import content, members
from okd.data.arrays import DataError

SIZES = {"set/train.bin": 2000, "set/test.bin": 1000}
GOOD: list[tuple[tarfile.TarInfo | str, bytes]] = [("set/train.bin", bytes(2000)), ("set/test.bin", b"\1" * 1000)]


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def put(folder: Path, content: bytes) -> Path:
    file = folder / "inside" / "set.tar.gz"
    file.parent.mkdir()
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "order", [GOOD, GOOD[::-1], [("set/readme.html", b"hello"), *GOOD]], ids=["as is", "other order", "with a read-me"]
)
def test_good_archives(order: list, tmp_path: Path) -> None:
    assert members(put(tmp_path, tar(order)), SIZES) == [bytes(2000), b"\1" * 1000]


HARM = {
    "up": [("../evil", b"x"), *GOOD],
    "up inside": [("set/../../evil", b"x"), *GOOD],
    "absolute": [("/tmp/okd-evil", b"x"), *GOOD],
    "symlink, then through it": [special("set", tarfile.SYMTYPE, "/tmp"), *GOOD],
    "symlink in the place of a file": [special("set/train.bin", tarfile.SYMTYPE, "/etc/passwd"), GOOD[1]],
    "hard link": [special("set/train.bin", tarfile.LNKTYPE, "/etc/passwd"), *GOOD],
    "device": [special("set/null", tarfile.CHRTYPE), *GOOD],
    "fifo": [special("set/pipe", tarfile.FIFOTYPE), *GOOD],
    "twice": [*GOOD, GOOD[0]],
    "too large": [("set/train.bin", bytes(2001)), GOOD[1]],
    "missing": GOOD[:1],
    "very many": [*((f"set/{i}", b"") for i in range(archive.MOST_MEMBERS)), *GOOD],
    "nothing": [],
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_archives(harm: str, tmp_path: Path) -> None:
    file = put(tmp_path, tar(HARM[harm]))
    with pytest.raises(DataError, match=r"set\.tar\.gz") as caught:
        members(file, SIZES)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


@pytest.mark.parametrize("how", ["a large member", "a large name", "a claim"])
def test_bomb_costs_no_memory(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty megabytes behind fifty kilobytes, also where tarfile itself would swallow them."""
    monkeypatch.setattr(archive, "SPARE_BYTES", 1 << 20)
    info = tarfile.TarInfo("set/big")
    info.size = 50 << 20
    if how == "a large name":
        info.type = tarfile.GNUTYPE_LONGNAME
    raw = info.tobuf(tarfile.GNU_FORMAT) + (b"" if how == "a claim" else bytes(50 << 20))
    file = put(tmp_path, gzip.compress(raw, 6))
    assert file.stat().st_size < 60_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError):
        members(file, SIZES)
    if how == "a large name":  # in the other cases the test's own bytes hide the measure
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


@pytest.mark.parametrize("cut", [0, 5, 100, -1, -9])
def test_cut_archive(cut: int, tmp_path: Path) -> None:
    file = put(tmp_path, tar(GOOD)[:cut])
    with pytest.raises(DataError, match=r"set\.tar\.gz"):
        members(file, SIZES)


def test_damaged_archive(tmp_path: Path) -> None:
    """Every byte flipped in turn: refused, or what was read is right all the same (names, dates and the like)."""
    good = tar(GOOD)
    file = put(tmp_path, good)
    for position in range(0, len(good), 3):
        file.write_bytes(good[:position] + bytes([good[position] ^ 0x10]) + good[position + 1 :])
        with suppress(DataError):
            assert [len(part) for part in members(file, SIZES)] == [2000, 1000]


def test_gzipped_file_of_another_size(tmp_path: Path) -> None:
    file = tmp_path / "labels.gz"
    file.write_bytes(gzip.compress(bytes(100)))
    assert content(file, 100) == bytes(100)
    for size in (99, 101):
        with pytest.raises(DataError, match=r"labels\.gz: has"):
            content(file, size)
    file.write_bytes(gzip.compress(bytes(50 << 20)))
    with pytest.raises(DataError, match="more than 100 bytes"):
        content(file, 100)
    file.write_bytes(gzip.compress(bytes(100))[:-6] + struct.pack("<I", 3))
    with pytest.raises(DataError, match="damaged"):
        content(file, 100)
    file.write_bytes(io.BytesIO(b"no gzip at all").getvalue())
    with pytest.raises(DataError, match="damaged"):
        content(file, 100)
