"""`okd fetch` from a folder and from a mirror: official bytes, other bytes, other archives of the same bytes."""

import hashlib
import json
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from smallset import ARCHIVE, IMAGES, LABELS, LAYOUTS, OTHER, PICKLES, PYTHON, REPACKED, put, settings, shrink
from webserver import serving

from conftest import TINY, make_project
from okd import cli
from okd.data.arrays import DataError, Manifest, manifest_file
from okd.data.datasets import ORIGINS, Origin, fetch, read_arrays, require_accepted


@pytest.fixture(autouse=True)
def origin(monkeypatch: pytest.MonkeyPatch) -> Origin:
    return shrink(monkeypatch)


def right(root: Path) -> bool:
    _, splits = read_arrays("cifar10", root)
    images = np.concatenate([splits["train"].images, splits["test"].images]).reshape(60, 3072)
    labels = [*splits["train"].labels, *splits["test"].labels]
    return bool((images == IMAGES).all()) and labels == LABELS


def nothing_written(root: Path) -> bool:
    return not (root / "data").exists() or list((root / "data").iterdir()) == []


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
    shutil.rmtree(tmp_path / "data" / "cifar10")
    assert fetch("cifar10", tmp_path, settings("unverified", folder)) == "data/cifar10: prepared"
    assert manifest.read_bytes() == first
    put(folder, {"small.tar.gz": OTHER})
    shutil.rmtree(tmp_path / "data" / "cifar10")
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


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["okd", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_command_line(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 4, for an unknown name 2; with the dial turned, a marked data set, and a marked result."""
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
    assert run(monkeypatch, "fetch", "mnits") == 2
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
