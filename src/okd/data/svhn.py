"""SVHN's cropped digits from the official .mat files, each read by a process of its own; with or without the extra images."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from okd.data.arrays import DataError, Split
from okd.data.download import File
from okd.data.forms import Form

SOURCES = ("http://ufldl.stanford.edu/housenumbers", "https://cseweb.ucsd.edu/~weijian/static/datasets/svhn")
ROWS = {"train_32x32.mat": 73_257, "extra_32x32.mat": 531_131, "test_32x32.mat": 26_032}
FILES = (
    File(
        name="train_32x32.mat",
        digest="sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        size=182_040_794,
    ),
    File(
        name="extra_32x32.mat",
        digest="sha256:a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
        size=1_329_278_602,
    ),
    File(
        name="test_32x32.mat",
        digest="sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        size=64_275_384,
    ),
)


def svhn(paths: Sequence[Path]) -> dict[str, Split]:
    """The last file is the test set; the others, one after the other, are the training set."""
    return {"train": read(paths[:-1], [ROWS[path.name] for path in paths[:-1]]), "test": read(paths[-1:], [ROWS[paths[-1].name]])}


def read(files: Sequence[Path], rows: Sequence[int]) -> Split:
    """Files of so many images each, read straight into one array: the extra images alone take 1.6 GB."""
    images, labels = np.empty((sum(rows), 3, 32, 32), np.uint8), np.empty(sum(rows), np.uint8)
    start = 0
    for file, count in zip(files, rows, strict=True):
        _read_into(file, images[start : start + count], labels[start : start + count])
        start += count
    return Split(images, labels.astype(np.int16))


def _read_into(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Raises DataError where the child process refuses the file, or dies of it."""
    command = [sys.executable, "-m", "okd.data.matlab", str(file.absolute()), str(len(images))]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads reserve address space
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | one_thread) as child:
        assert child.stdout and child.stderr
        whole = all(_fill(child.stdout, array) for array in (images, labels)) and not child.stdout.read(1)
        child.stdout.close()
        said = child.stderr.read().decode(errors="replace").strip().splitlines()
    if child.returncode or not whole:
        reason = f"the reader was ended by signal {-child.returncode}" if child.returncode < 0 else (said or ["it ended early"])[-1]
        raise DataError(f"{file}: not SVHN's file ({reason})")


def _fill(stream: IO[bytes], array: Any) -> bool:
    """Fill an array with bytes; say whether there were enough."""
    view = memoryview(array).cast("B")
    while view:
        size = stream.readinto(view)  # type: ignore[attr-defined]
        if not size:
            return False
        view = view[size:]
    return True


SVHN = (Form(files=(FILES[0], FILES[2]), read=svhn, folders=("", "svhn"), served=True, sources=SOURCES),)
SVHN_EXTRA = (Form(files=FILES, read=svhn, folders=("", "svhn"), served=True, sources=SOURCES),)
