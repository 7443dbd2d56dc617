"""Row F5: prepared arrays that are damaged, and manifests that do not fit them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from smallset import FILES, IMAGES, LABELS, LAYOUTS, put, settings, shrink

from okd.data.arrays import DataError, channel_statistics, manifest_file
from okd.data.datasets import Origin, fetch, read_arrays


@pytest.fixture(autouse=True)
def origin(monkeypatch: pytest.MonkeyPatch) -> Origin:
    return shrink(monkeypatch)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-7] ^= 1
    path.write_bytes(raw)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit of an image": lambda folder: flip(folder / "train_images.npy"),
    "a bit of a label": lambda folder: flip(folder / "test_labels.npy"),
    "cut": lambda folder: (folder / "train_images.npy").write_bytes((folder / "train_images.npy").read_bytes()[:-1]),
    "cut header": lambda folder: (folder / "train_images.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'desc"),
    "empty": lambda folder: (folder / "train_images.npy").write_bytes(b""),
    "huge": lambda folder: (folder / "train_labels.npy").write_bytes(
        (folder / "train_labels.npy").read_bytes().replace(b"(50,), ", b"(9**9,)").replace(b"(9**9,)", b"(2**62)"[:7])
    ),
    "objects": lambda folder: np.save(folder / "train_labels.npy", np.array([{}] * 50, dtype=object), allow_pickle=True),
    "other type": lambda folder: np.save(folder / "train_labels.npy", np.array(LABELS[:50], np.int64)),
    "other shape": lambda folder: np.save(folder / "train_images.npy", IMAGES[:50]),
    "gone": lambda folder: (folder / "test_images.npy").unlink(),
    "stale manifest": lambda folder: edit(folder, sha256="0" * 64),
    "torn manifest": lambda folder: folder.with_suffix(".manifest.json").write_text('{"name": '),
    "strange manifest": lambda folder: folder.with_suffix(".manifest.json").write_text("[]"),
    "manifest without a split": lambda folder: folder.with_suffix(".manifest.json").write_text('{"splits": {}}'),
    "no manifest": lambda folder: folder.with_suffix(".manifest.json").unlink(),
}


def edit(folder: Path, sha256: str) -> None:
    manifest = folder.with_suffix(".manifest.json")
    record = json.loads(manifest.read_text())
    record["splits"]["test"]["sha256"] = sha256
    manifest.write_text(json.dumps(record))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_arrays_are_noticed_before_training(damage: str, tmp_path: Path) -> None:
    """Row F5."""
    fetch("cifar10", tmp_path, settings(folder=LAYOUTS["archive"](tmp_path / "there")))
    DAMAGE[damage](tmp_path / "data" / "cifar10")
    with pytest.raises(DataError, match=r"data/cifar10.*okd fetch cifar10") as caught:
        read_arrays("cifar10", tmp_path)
    assert "\n" not in str(caught.value)


def test_manifest_cannot_call_other_data_verified(tmp_path: Path) -> None:
    folder = put(tmp_path / "there" / "small", FILES | {"train.bin": bytes(50 * 3073)}).parent
    fetch("cifar10", tmp_path, settings("unverified", folder))
    manifest = manifest_file(tmp_path, "cifar10")
    manifest.write_text(manifest.read_text().replace('"verified": false', '"verified": true'))
    with pytest.raises(DataError, match="says verified, but its train images or labels are not the official ones"):
        read_arrays("cifar10", tmp_path)


def test_channel_statistics_are_those_of_numpy() -> None:
    images = np.random.default_rng(1).integers(0, 256, (5000, 3, 4, 4), dtype=np.uint8)
    mean, std = channel_statistics(images)
    assert np.allclose(mean, (images / 255).mean(axis=(0, 2, 3)), atol=1e-6)
    assert np.allclose(std, (images / 255).std(axis=(0, 2, 3)), atol=1e-6)
