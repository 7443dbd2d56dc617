"""Matlab's files, read in a process of their own: scipy's reader crashes on some damaged ones.

`python -m okd.data.matlab FILE ROWS` writes SVHN's images and labels as plain bytes to stdout, `python -m okd.data.matlab synsets` the
classes of ImageNet's meta.mat, which it reads from stdin, as JSON.
"""

import io
import json
import resource
import sys
from pathlib import Path
from typing import IO

import numpy as np

CHUNK = 4096  # images
GIBIBYTE = 1 << 30
IMAGE = 32 * 32 * 3


def limit(rows: int) -> None:
    """Bound what a damaged file can cost: address space, processor time, no core dump."""
    most = 2 * GIBIBYTE + 4 * rows * IMAGE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (900, 900))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def convert(file: Path, rows: int, out: IO[bytes]) -> None:
    """Write `rows` images, channel first, then as many labels. Raises ValueError where the file holds anything else."""
    from scipy.io import loadmat

    with file.open("rb") as stream:
        if not stream.read(10).startswith(b"MATLAB 5.0"):
            raise ValueError("not a MATLAB 5.0 file")
    held = loadmat(str(file), variable_names=["X", "y"], verify_compressed_data_integrity=True)
    images, labels = held.get("X"), held.get("y")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (32, 32, 3, rows):
        raise ValueError(f"X is not {rows} images of 32x32x3 bytes")
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != (rows, 1):
        raise ValueError(f"y is not {rows} labels")
    if labels.min() < 1 or labels.max() > 10:
        raise ValueError("labels are not 1 to 10")
    for start in range(0, rows, CHUNK):
        out.write(np.ascontiguousarray(images[..., start : start + CHUNK].transpose(3, 2, 0, 1)).data)
    out.write(np.ascontiguousarray(labels[:, 0] % 10).data)  # SVHN writes 10 for the digit 0


def synsets(raw: bytes) -> list[tuple[int, str]]:
    """Number and WordNet id of each class: of the entries without children."""
    from scipy.io import loadmat

    entries = loadmat(io.BytesIO(raw), variable_names=["synsets"], squeeze_me=True)["synsets"]
    leaves = [entry for entry in entries if int(entry["num_children"]) == 0]
    return [(int(entry["ILSVRC2012_ID"]), str(entry["WNID"])) for entry in leaves]


def main(words: list[str]) -> None:
    if words == ["synsets"]:
        limit(0)
        json.dump(synsets(sys.stdin.buffer.read()), sys.stdout)
    else:
        limit(int(words[1]))
        convert(Path(words[0]), int(words[1]), sys.stdout.buffer)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
