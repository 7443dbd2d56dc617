"""MNIST's idx files: strict about every byte of the header and the length."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from okd.data import mnist as module
from okd.data.arrays import DataError
from okd.data.mnist import IMAGES, LABELS, idx, mnist

GREY = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
DIGITS = np.arange(30, dtype=np.uint8) % 10


def raw(magic: int, array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTS", {"train": 30, "test": 30})


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_padded_to_32_with_three_equal_channels(suffix: str, tmp_path: Path) -> None:
    images, labels = tmp_path / f"images{suffix}", tmp_path / f"labels{suffix}"
    for file, content in ((images, raw(IMAGES, GREY)), (labels, raw(LABELS, DIGITS))):
        file.write_bytes(gzip.compress(content) if suffix else content)
    split = mnist([images, labels, images, labels])["test"]
    assert split.images.shape == (30, 3, 32, 32)
    assert split.labels.tolist() == DIGITS.tolist()
    for channel in range(3):
        assert (split.images[:, channel, 2:-2, 2:-2] == GREY).all()
    assert split.images.sum() == 3 * GREY.sum(dtype=int), "the border is zero"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        raw(IMAGES, GREY)[:-1],
        raw(IMAGES, GREY) + b"\0",
        raw(IMAGES + 0x500, GREY),
        raw(LABELS, GREY),
        raw(IMAGES, GREY[:29]),
        raw(IMAGES, GREY.reshape(30, 14, 56)),
    ],
    ids=["empty", "cut", "too long", "other type", "labels", "an image less", "other shape"],
)
def test_other_files(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "train-images"
    file.write_bytes(content)
    with pytest.raises(DataError, match="train-images"):
        idx(file, IMAGES, (30, 28, 28))
