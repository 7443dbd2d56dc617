"""Rows F2 and F3: CIFAR's Python batches are read without running anything."""

import random
import resource
from pathlib import Path

import numpy as np
import pytest
from pickles import batch, exploits

from okd.data.arrays import DataError
from okd.data.batches import read_batch
from okd.data.cifar import pickled

ROWS = 20
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 3072), dtype=np.uint8)
LABELS = [i % 10 for i in range(ROWS)]
GOOD = batch(IMAGES, LABELS)
NAMES = sorted(exploits(Path("/nowhere")))


def read(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    return read_batch(raw, rows=ROWS, classes=10, labels="labels")


def test_good_batch_is_what_pickle_would_give() -> None:
    images, labels = read(GOOD)
    assert (images == IMAGES).all()
    assert labels.tolist() == LABELS
    assert labels.dtype == np.int16
    split = pickled(GOOD, ROWS, key="labels", classes=10)
    assert (split.images == IMAGES.reshape(ROWS, 3, 32, 32)).all()


def test_our_batches_are_real_pickles() -> None:
    """The bytes that the tests put together by hand mean what they should."""
    import pickle

    loaded = pickle.loads(GOOD, encoding="bytes")
    assert (loaded[b"data"] == IMAGES).all()
    assert loaded[b"labels"] == LABELS


@pytest.mark.parametrize("name", NAMES)
def test_exploit_is_refused(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(DataError, match="not a CIFAR batch") as caught:
        read(exploits(marker)[name])
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    "raw",
    [
        batch(IMAGES, LABELS, key=b"fine_labels"),
        batch(IMAGES[:-1], LABELS),
        batch(IMAGES, LABELS[:-1]),
        batch(IMAGES, [10, *LABELS[1:]]),
        batch(IMAGES, [-1, *LABELS[1:]]),
        batch(IMAGES, LABELS, dtype=b"O8"),
        batch(IMAGES, LABELS, dtype=b"i1"),
        batch(IMAGES[:, :3071], LABELS),
        batch(IMAGES, LABELS, end=b""),
        batch(IMAGES, LABELS, end=b"0."),
    ],
    ids=["other labels", "an image less", "a label less", "class 10", "class -1", "objects", "signed", "narrow", "no end", "popped"],
)
def test_batch_of_another_kind(raw: bytes) -> None:
    with pytest.raises(DataError, match="not a CIFAR batch"):
        read(raw)


def mutations(count: int, seed: int) -> None:
    """Refused, or only names, pixels and labels differ; and never much memory."""
    random_bytes = random.Random(seed)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    refused = 0
    try:
        for _ in range(count):
            raw = bytearray(GOOD)
            for _ in range(random_bytes.choice((1, 1, 2, 8))):
                position = random_bytes.choice(
                    (random_bytes.randrange(len(raw)), random_bytes.randrange(400), len(raw) - 1 - random_bytes.randrange(400))
                )
                raw[position] = random_bytes.randrange(256)
            try:
                images, labels = read(bytes(raw))
            except DataError:
                refused += 1
                continue
            assert images.shape == (ROWS, 3072)
            assert labels.shape == (ROWS,)
            assert (labels < 10).all()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert count > refused > count / 10


def test_mutated_batches() -> None:
    mutations(3000, seed=0)


@pytest.mark.slow
def test_many_mutated_batches() -> None:
    mutations(20_000, seed=1)
