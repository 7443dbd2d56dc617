"""A user's folder of images, and a project with one paper on them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import TINY, make_project, plan
from okd.plan.catalog import Augmentation, DatasetEntry, Normalisation, catalog
from okd.plan.run import Run
from okd.plan.settings import DataSettings

CLASSES = ("ant", "bee", "cow")
MINE = DatasetEntry(
    revision=1,
    layout="images",
    title="My images",
    classes=3,
    train=21,
    test=6,
    size=16,
    normalisation=Normalisation(mean=[0.5] * 3, std=[0.25] * 3),
    augmentation=Augmentation(padding=0, flip=True),
)
PAPER = (
    TINY[: TINY.index("      Teacher:")].replace("dataset: digits", "dataset: mine").replace("batch_size: 64", "batch_size: 8")
    + "      Baseline: {method: baseline}\n    published:\n      ResNet-8: [null]\n"
)


def paint(file: Path, seed: int) -> None:
    """An image that is neither square nor of the size that is wanted, one of them grey."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (20 + seed % 9, 24 + seed % 5, 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(pixels).convert("L") if seed % 7 == 0 else Image.fromarray(pixels)).save(file)


def supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one paper on the user's images, and the images in a folder outside of it."""
    monkeypatch.setitem(catalog().datasets, "mine", MINE)
    for number in range(21):
        paint(tmp_path / "there" / "mine" / "train" / CLASSES[number % 3] / f"{number:02}.png", number)
    for number in range(6):
        paint(tmp_path / "there" / "mine" / "val" / CLASSES[number % 3] / f"deep/{number}.JPEG", 50 + number)
    (tmp_path / "there" / "mine" / "train" / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "here").mkdir()
    made = make_project(tmp_path / "here", monkeypatch, paper=PAPER)
    params = made / "params.yaml"
    params.write_text(params.read_text().replace("folder: null", "folder: ../there"))
    return made


SETTINGS = DataSettings(accept="verified", folder="../there", mirror=None, root=None)


def planned(project: Path) -> Run:
    (run,) = plan(project).values()
    return run


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(raw: bytes) -> bytes:
    return raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:]
