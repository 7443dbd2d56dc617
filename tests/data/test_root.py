"""`data.root`: prepared arrays outside the checkout, of which data/ and DVC hold a list."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from smallset import IMAGES, LAYOUTS, OTHER, put, settings, shrink

from conftest import TINY, make_project
from okd.cli.fetch import fetch as fetch_verb
from okd.cli.train import train
from okd.data.arrays import FILES, DataError, manifest_file
from okd.data.datasets import fetch, read_arrays


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "big disk").mkdir()
    return tmp_path / "big disk"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_arrays_lie_there_and_a_list_here(tmp_path: Path, outside: Path) -> None:
    """The same manifest as without it; the list says what lies there, and nothing of this machine."""
    root, folder = tmp_path / "project", LAYOUTS["archive"](tmp_path / "there")
    root.mkdir()
    fetch("cifar10", root, settings(folder=folder))
    manifest = manifest_file(root, "cifar10").read_bytes()
    chosen = settings(folder=folder, root="../big disk")
    assert fetch("cifar10", root, chosen) == "data/cifar10: prepared"
    assert fetch("cifar10", root, chosen) == "data/cifar10: checked"
    assert manifest_file(root, "cifar10").read_bytes() == manifest
    assert names(root / "data" / "cifar10") == ["READY", "arrays.files"], "the arrays that lay here are gone"
    assert names(outside / "cifar10") == sorted(FILES)
    lines = [line.split("  ") for line in (root / "data" / "cifar10" / "arrays.files").read_text().splitlines()]
    for digest, size, name in lines:
        raw = (outside / "cifar10" / name).read_bytes()
        assert (digest, size) == (hashlib.sha256(raw).hexdigest(), str(len(raw)))
    assert [name for _, _, name in lines] == list(FILES)
    _, splits = read_arrays("cifar10", root, chosen)
    assert (splits["train"].images.reshape(50, 3072) == IMAGES[:50]).all()
    with pytest.raises(DataError, match=r"data/cifar10/ has no train arrays"):
        read_arrays("cifar10", root)


def test_another_checkout_shares_them(tmp_path: Path, outside: Path) -> None:
    """With the manifest from git, it checks what is there and downloads nothing; a changed byte is noticed."""
    first, second, folder = tmp_path / "first", tmp_path / "second", LAYOUTS["archive"](tmp_path / "there")
    for root in (first, second):
        (root / "data").mkdir(parents=True)
    fetch("cifar10", first, settings(folder=folder, root=outside))
    manifest_file(second, "cifar10").write_bytes(manifest_file(first, "cifar10").read_bytes())
    assert fetch("cifar10", second, settings(root=outside)) == "data/cifar10: checked"
    pixels = np.load(outside / "cifar10" / "test_images.npy", mmap_mode="r+")
    pixels[3, 0, 0, 0] ^= 1
    pixels.flush()
    with pytest.raises(DataError, match=r"big disk/cifar10/test_images\.npy or its labels differ from data/cifar10\.manifest\.json"):
        fetch("cifar10", second, settings(root=outside))


def test_somebody_else_s_folder_is_left_alone(tmp_path: Path, outside: Path) -> None:
    """A folder of downloads may bear the data set's name."""
    folder = LAYOUTS["archive"](tmp_path / "there")
    put(outside / "cifar10", {"thesis.tex": b"x"})
    with pytest.raises(DataError, match=r"holds other files than arrays of ours, thesis\.tex for one; nothing was written"):
        fetch("cifar10", tmp_path, settings(folder=folder, root=outside))
    assert names(outside / "cifar10") == ["thesis.tex"]
    assert not manifest_file(tmp_path, "cifar10").exists()


def test_wrong_bytes_leave_nothing_there(tmp_path: Path, outside: Path) -> None:
    folder = put(tmp_path / "there", {"small.tar.gz": OTHER})
    with pytest.raises(DataError, match="is not the official file"):
        fetch("cifar10", tmp_path, settings(folder=folder, root=outside))
    assert [name for name in names(outside) if not name.startswith(".")] == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A disk that is not mounted must not become a folder on the wrong one."""
    with pytest.raises(DataError, match=r"data\.root: .*nowhere is not a folder: make it, or set data\.root: null") as caught:
        fetch("digits", tmp_path, settings(root=tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_training_reads_from_there(tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    paper = TINY.replace("epochs: 2", "epochs: 1").replace("[0.1, 1]", "[0.1]")
    project = make_project(tmp_path / "project", monkeypatch, paper=paper)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("root: null", "root: ../big disk"))
    fetch_verb("digits")
    assert not list((project / "data").rglob("*.npy"))
    train("tiny-digits-resnet8-baseline-s0")
    assert len(list((project / "results").rglob("result.json"))) == 1
