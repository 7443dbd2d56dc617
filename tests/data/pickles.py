"""CIFAR's Python batches as Python 2 wrote them, byte by byte, and pickles that mean harm."""

import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def number(value: int) -> bytes:
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def batch(images: np.ndarray, labels: list[int], *, key: bytes = b"labels", dtype: bytes = b"u1", end: bytes = b".") -> bytes:
    """Protocol 2, like cPickle's: memo after every string, numpy's array by _reconstruct and BUILD."""
    names = b"".join(text(f"image_{i}.png".encode()) + b"r" + struct.pack("<I", 100 + i) for i in range(len(labels)))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x08cnumpy\nndarray\nq\x09" + number(0) + b"\x85" + text(b"b") + b"\x87R"
        b"(" + number(1) + number(images.shape[0]) + number(images.shape[1]) + b"\x86"
        b"cnumpy\ndtype\n" + text(dtype) + number(0) + number(1) + b"\x87R"
        b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb\x89" + text(images.tobytes()) + b"tb"
    )
    return (
        b"\x80\x02}q\x01(" + text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03"
        + text(key) + b"q\x04](" + b"".join(map(number, labels)) + b"e"
        + text(b"data") + array + text(b"filenames") + b"](" + names + b"eu" + end
    )  # fmt: skip


class _Harm:
    def __init__(self, function, *arguments) -> None:
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def exploits(marker: Path) -> dict[str, bytes]:
    """Pickles that would create `marker` or eat memory where they are run. None may even come near."""
    import builtins
    import os

    command = f"touch {marker}"
    harms = {
        "system": _Harm(os.system, command),
        "eval": _Harm(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "exec": _Harm(builtins.exec, f"open({str(marker)!r}, 'w')"),
        "open": _Harm(builtins.open, str(marker), "w"),
        "getattr": _Harm(builtins.getattr, os, "system"),
        "bytearray": _Harm(builtins.bytearray, 2**40),
        "load": _Harm(np.load, str(marker)),
        "memmap": _Harm(np.memmap, str(marker), "u1", "w+", 0, (10,)),
        "dtype": np.dtype([("a", "O")]),
        "objects": np.array([None, {}], dtype=object),
    }
    found = {
        f"{name}-{protocol}": pickle.dumps({"data": harm, "labels": [1]}, protocol=protocol)
        for name, harm in harms.items()
        for protocol in (0, 2, 4)
        if not (name == "getattr" and protocol < 9)
    }
    shell = command.encode()
    return found | {
        "posix": b"\x80\x02cposix\nsystem\n" + text(shell) + b"\x85R.",
        "instance": b"(" + text(shell) + b"iposix\nsystem\n.",
        "object": b"(cposix\nsystem\n" + text(shell) + b"o.",
        "stack-global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text(shell) + b"\x85R.",
        "persistent": b"P" + shell + b"\n.",
        "extension": b"\x80\x02\x82\x01.",
        "memo-bomb": b"\x80\x02]r\xff\xff\xff\x7f.",
        "long-bomb": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "string-bomb": b"\x80\x02T\xff\xff\xff\x7f.",
        "laughs": b"\x80\x02]q\x00" + b"".join(b"(" + b"h\x00" * 10 + b"lq\x00" for _ in range(40)) + b".",
        "self": b"\x80\x02]q\x00h\x00a.",
        "empty": b"",
        "text": b"<html></html>",
        "underflow": b"\x80\x02R.",
        "deep": b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b".",
    }


def tar(members: list[tuple[tarfile.TarInfo | str, bytes]]) -> bytes:
    """A .tar.gz of plain files (by name) and of whatever else (by TarInfo)."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if isinstance(member, str):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return whole.getvalue()
