"""`okd fetch` from a folder and from a mirror: official bytes, other bytes, other archives of the same bytes, damaged arrays."""

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pickles import batch, tar
from webserver import serving

from conftest import TINY, make_project
from okd import cli
from okd.data import cifar, download
from okd.data.arrays import DataError, Manifest, Split, channel_statistics, manifest_file
from okd.data.cifar import Version, binary, pickled
from okd.data.datasets import ORIGINS, Origin, fetch, read_arrays, require_accepted
from okd.data.download import File
from okd.plan.settings import DataSettings

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 3072), dtype=np.uint8)
LABELS = [i % 10 for i in range(60)]
RECORDS = np.concatenate([np.array(LABELS, np.uint8)[:, None], IMAGES], axis=1).tobytes()
FILES = {"train.bin": RECORDS[: 50 * 3073], "test.bin": RECORDS[50 * 3073 :]}
PICKLES = {"train": batch(IMAGES[:50], LABELS[:50]), "test": batch(IMAGES[50:], LABELS[50:])}
ARCHIVE = tar([(f"small/{name}", raw) for name, raw in FILES.items()])
REPACKED = tar([("small/readme.txt", b"hello"), *((f"small/{name}", raw) for name, raw in FILES.items())])
OTHER = tar([("small/train.bin", FILES["train.bin"]), ("small/test.bin", FILES["test.bin"][:-1] + b"\0")])
PYTHON = tar([(f"small-py/{name}", raw) for name, raw in PICKLES.items()])


def file(name: str, raw: bytes) -> File:
    return File(name=name, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}", size=len(raw))


def settings(accept: str = "verified", folder: Path | None = None, mirror: str | None = None) -> DataSettings:
    return DataSettings.model_validate(
        {"accept": accept, "folder": str(folder) if folder else None, "mirror": [mirror] if mirror else None}
    )


@pytest.fixture(autouse=True)
def origin(monkeypatch: pytest.MonkeyPatch) -> Origin:
    """CIFAR-10 shrunk to 50 and 10 images; its training split's content is pinned, the test split's is not."""
    monkeypatch.setattr(download, "PAUSE_S", 0.01)
    monkeypatch.setattr(cifar, "TRAIN", 50)
    monkeypatch.setattr(cifar, "TEST", 10)
    small = Version(
        archive=file("small.tar.gz", ARCHIVE),
        folder="small",
        files=tuple(file(name, raw) for name, raw in FILES.items()),
        decode=lambda raw, rows: binary(raw, rows, label_bytes=1, classes=10),
    )
    python = Version(
        archive=file("small-python.tar.gz", PYTHON),
        folder="small-py",
        files=tuple(file(name, raw) for name, raw in PICKLES.items()),
        decode=lambda raw, rows: pickled(raw, rows, key="labels", classes=10),
        pickled=True,
    )
    train = Split(IMAGES[:50].reshape(-1, 3, 32, 32), np.array(LABELS[:50], np.int16)).content_hash()
    made = Origin(source="here", licence="none", forms=(*small.forms(), *python.forms()), content={"train": train})
    monkeypatch.setitem(ORIGINS, "cifar10", made)
    return made


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


def right(root: Path) -> bool:
    _, splits = read_arrays("cifar10", root)
    images = np.concatenate([splits["train"].images, splits["test"].images]).reshape(60, 3072)
    labels = [*splits["train"].labels, *splits["test"].labels]
    return bool((images == IMAGES).all()) and labels == LABELS


def nothing_written(root: Path) -> bool:
    return not (root / "data").exists() or list((root / "data").iterdir()) == []


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "archive": lambda folder: put(folder, {"small.tar.gz": ARCHIVE}),
    "unpacked": lambda folder: put(folder / "small", FILES).parent,
    "its own folder": lambda folder: put(folder, FILES),
    "Python archive": lambda folder: put(folder, {"small-python.tar.gz": PYTHON}),
    "Python unpacked": lambda folder: put(folder / "small-py", PICKLES).parent,
    "one right, one wrong": lambda folder: put(put(folder, {"small.tar.gz": OTHER}) / "small", FILES).parent,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folder_with_official_files(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the form, the arrays and the manifest are the same; and nobody asks the network (row E4)."""
    monkeypatch.setattr(socket, "socket", None)
    folder, root = LAYOUTS[layout](tmp_path / "there"), tmp_path / "project"
    root.mkdir()
    assert fetch("cifar10", root, settings(folder=folder)) == "data/cifar10: prepared"
    assert right(root)
    manifest = manifest_file(root, "cifar10").read_bytes()
    assert json.loads(manifest)["verified"] is True
    assert str(tmp_path).encode() not in manifest
    assert (root / "data" / "cifar10" / "READY").read_text().strip() == hashlib.sha256(manifest).hexdigest()
    assert fetch("cifar10", root, settings()) == "data/cifar10: checked"


def test_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ARCHIVE) as server:
        said: list[str] = []
        empty = put(tmp_path / "empty", {})
        assert fetch("cifar10", tmp_path, settings(folder=empty, mirror=server.base("good")), said.append) == "data/cifar10: prepared"
        assert "data.folder has no files of cifar10" in said[0]
        assert right(tmp_path)
        monkeypatch.setattr(socket, "socket", None)
        (tmp_path / "data" / "cifar10" / "test_labels.npy").unlink()
        assert fetch("cifar10", tmp_path, settings(mirror=server.base("missing"))) == "data/cifar10: prepared"
    assert len(server.asked) == 1


def test_mirror_that_has_the_python_version_only(tmp_path: Path) -> None:
    with serving(PYTHON, "small-python.tar.gz") as server:
        assert fetch("cifar10", tmp_path, settings(mirror=server.base("good"))) == "data/cifar10: prepared"
    assert right(tmp_path)


@pytest.mark.parametrize("raw", [OTHER, REPACKED, ARCHIVE[:-100], b"<html>", b""], ids=["pixel", "repacked", "cut", "page", "empty"])
@pytest.mark.parametrize("way", ["folder", "mirror"])
def test_other_bytes_are_refused(way: str, raw: bytes, tmp_path: Path) -> None:
    folder = put(tmp_path / "there", {"small.tar.gz": raw})
    with serving(raw) as server:
        chosen = settings(folder=folder) if way == "folder" else settings(mirror=server.base("good"))
        with pytest.raises(DataError, match=r"small\.tar\.gz") as caught:
            fetch("cifar10", tmp_path, chosen)
    assert "\n" not in str(caught.value)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("way", ["folder", "mirror"])
def test_unverified(way: str, tmp_path: Path) -> None:
    """Another test image is taken where that is allowed, and marked; it counts for nothing once it is not allowed any more."""
    folder = put(tmp_path / "there", {"small.tar.gz": OTHER})
    with serving(OTHER) as server:
        chosen = settings("unverified", folder) if way == "folder" else settings("unverified", mirror=server.base("good"))
        assert fetch("cifar10", tmp_path, chosen) == "data/cifar10: prepared, but not verified to be the official data"
    manifest = Manifest.read(manifest_file(tmp_path, "cifar10"))
    assert not manifest.verified
    require_accepted(manifest, chosen)
    with pytest.raises(DataError, match="data/cifar10 is not known to be the official data: delete it"):
        fetch("cifar10", tmp_path, settings(folder=folder))


def test_same_content_in_another_archive(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A content hash is the identity: with it, a repacked archive is verified; without it, only once a manifest says so."""
    folder = put(tmp_path / "there", {"small.tar.gz": REPACKED})
    fetch("cifar10", tmp_path, settings("unverified", folder))
    manifest = manifest_file(tmp_path, "cifar10")
    assert not Manifest.read(manifest).verified, "nobody knows the test split's hash yet"
    manifest.unlink()
    fetch("cifar10", tmp_path, settings(folder=LAYOUTS["unpacked"](tmp_path / "official")))
    first = manifest.read_bytes()
    subprocess.run(["rm", "-r", str(tmp_path / "data" / "cifar10")], check=True)
    assert fetch("cifar10", tmp_path, settings("unverified", folder)) == "data/cifar10: prepared"
    assert manifest.read_bytes() == first
    put(folder, {"small.tar.gz": OTHER})
    subprocess.run(["rm", "-r", str(tmp_path / "data" / "cifar10")], check=True)
    with pytest.raises(DataError, match=r"not what data/cifar10\.manifest\.json describes; nothing was written"):
        fetch("cifar10", tmp_path, settings("unverified", folder))
    assert not (tmp_path / "data" / "cifar10").exists()


def test_other_pickles_are_never_read(tmp_path: Path) -> None:
    folder = put(tmp_path / "there" / "small-py", PICKLES | {"test": PICKLES["test"] + b"\n"}).parent
    for accept in ("verified", "unverified"):
        with pytest.raises(DataError, match=r"small-py/test is not the official file"):
            fetch("cifar10", tmp_path, settings(accept, folder))
    with serving(PYTHON[:-1] + b"\1", "small-python.tar.gz") as server, pytest.raises(DataError, match="checksum"):
        fetch("cifar10", tmp_path, settings("unverified", mirror=server.base("good")))
    assert nothing_written(tmp_path)


def test_official_file_with_unknown_content(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """If our reader ever changes what it makes of the official bytes, the pinned content hash says so."""
    monkeypatch.setitem(ORIGINS, "cifar10", Origin(source="", licence="", forms=origin.forms, content={"test": "0" * 64}))
    with pytest.raises(DataError, match="not known to be the official data"):
        fetch("cifar10", tmp_path, settings(folder=LAYOUTS["archive"](tmp_path / "there")))
    assert nothing_written(tmp_path)


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


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["okd", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_command_line(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 4; with the dial turned, a marked data set, and a marked result."""
    put(project / "there", {"small.tar.gz": OTHER})
    params = (project / "params.yaml").read_text()
    with_folder = params.replace("folder: null", "folder: there")
    (project / "params.yaml").write_text(with_folder)
    assert run(monkeypatch, "fetch", "cifar10") == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("okd: ")
    assert "there/small.tar.gz is not the official file" in line
    (project / "params.yaml").write_text(with_folder.replace("verified", "unverified"))
    assert run(monkeypatch, "fetch", "cifar10") == 0
    assert run(monkeypatch, "data", "show", "cifar10") == 0
    assert "NOT known to be the official data" in capsys.readouterr().out
    assert run(monkeypatch, "fetch", "mnits") == 4
    assert "did you mean 'mnist'" in capsys.readouterr().err


def test_result_says_that_data_are_not_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = TINY.replace("epochs: 2", "epochs: 1").replace("[0.1, 1]", "[0.1]")
    project, run_id = make_project(tmp_path, monkeypatch, paper=paper), "tiny-digits-resnet8-baseline-s0"
    assert run(monkeypatch, "fetch", "digits") == 0
    manifest = manifest_file(project, "digits")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"verified": False}))
    assert run(monkeypatch, "train", run_id) == 4
    (failure,) = (project / "scratch").rglob("failure.json")
    assert "not known to be the official data" in failure.read_text()
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("verified", "unverified"))
    assert run(monkeypatch, "train", run_id) == 0
    (result,) = (project / "results").rglob("result.json")
    assert json.loads(result.read_text())["data_verified"] is False


@pytest.mark.parametrize("mirror", ["[ftp://x]", "[]x", "https://x", "[file:///x]", '["https://"]'])
def test_wrong_mirror_is_a_fault_of_params(mirror: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("mirror: null", f"mirror: {mirror}"))
    assert run(monkeypatch, "fetch", "digits") == 2


def test_channel_statistics_are_those_of_numpy() -> None:
    images = RANDOM.integers(0, 256, (5000, 3, 4, 4), dtype=np.uint8)
    mean, std = channel_statistics(images)
    assert np.allclose(mean, (images / 255).mean(axis=(0, 2, 3)), atol=1e-6)
    assert np.allclose(std, (images / 255).std(axis=(0, 2, 3)), atol=1e-6)
