"""MNIST from its four idx files, plain or gzipped: 28x28 grey, enlarged by a border of zeros to 32x32 and three equal channels."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from okd.data.archive import content
from okd.data.arrays import DataError, Split
from okd.data.download import File
from okd.data.forms import Form

SOURCES = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
COUNTS = {"train": 60_000, "test": 10_000}
SIDE, BORDER = 28, 2
IMAGES, LABELS = 0x803, 0x801  # unsigned bytes in three dimensions, in one


def mnist(paths: Sequence[Path]) -> dict[str, Split]:
    """From train images, train labels, test images and test labels."""
    splits = {}
    for (split, count), images, labels in zip(COUNTS.items(), paths[::2], paths[1::2], strict=True):
        grey = idx(images, IMAGES, (count, SIDE, SIDE))
        classes = idx(labels, LABELS, (count,)).astype(np.int16)
        if classes.max() > 9:
            raise DataError(f"{labels}: there is a label {classes.max()}, but digits are 0 to 9")
        padded = np.pad(grey, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)))
        splits[split] = Split(np.repeat(padded[:, None], 3, axis=1), classes)
    return splits


def idx(file: Path, magic: int, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of an idx file. Raises DataError unless it is of exactly this kind and shape."""
    header = struct.pack(f">{1 + len(shape)}I", magic, *shape)
    raw = content(file, len(header) + int(np.prod(shape)))
    if not raw.startswith(header):
        raise DataError(f"{file}: not an idx file of {'x'.join(map(str, shape))} bytes")
    return np.frombuffer(raw, np.uint8, offset=len(header)).reshape(shape)


PLAIN = Form(
    files=(
        File(name="train-images-idx3-ubyte", digest="md5:6bbc9ace898e44ae57da46a324031adb", size=47_040_016),
        File(name="train-labels-idx1-ubyte", digest="md5:a25bea736e30d166cdddb491f175f624", size=60_008),
        File(name="t10k-images-idx3-ubyte", digest="md5:2646ac647ad5339dbf082846283269ea", size=7_840_016),
        File(name="t10k-labels-idx1-ubyte", digest="md5:27ae3e4e09519cfbb04c329615203637", size=10_008),
    ),
    read=mnist,
    folders=("MNIST/raw", "mnist", ""),
)
GZIPPED = Form(
    files=(
        File(
            name="train-images-idx3-ubyte.gz",
            digest="sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            size=9_912_422,
        ),
        File(
            name="train-labels-idx1-ubyte.gz",
            digest="sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            size=28_881,
        ),
        File(
            name="t10k-images-idx3-ubyte.gz",
            digest="sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            size=1_648_877,
        ),
        File(
            name="t10k-labels-idx1-ubyte.gz",
            digest="sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            size=4_542,
        ),
    ),
    read=mnist,
    folders=("MNIST/raw", "mnist", ""),
    served=True,
    sources=SOURCES,
)
MNIST = (PLAIN, GZIPPED)
