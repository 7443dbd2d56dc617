"""What is said of a data set, in the terminal and in the report, and the picture of it."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ownimages import supply
from PIL import Image
from smallset import IMAGES, LABELS, LAYOUTS, OTHER, put, shrink

from conftest import plan
from handmade import publish
from okd.cli.data import show
from okd.cli.evidence import evidence
from okd.cli.fetch import fetch
from okd.cli.report import report
from okd.cli.tables import tables
from okd.data.arrays import Manifest, Split, channel_statistics, manifest_file
from okd.data.datasets import ORIGINS, describe
from okd.data.names import NAMES
from okd.data.overview import inside, overview
from okd.data.sheet import GAP, SIDE, contact_sheet
from okd.plan.catalog import catalog
from okd.plan.settings import open_project
from okd.plan.store import Places, write_json


def dial(project: Path, old: str, new: str) -> None:
    params = project / "params.yaml"
    text = params.read_text()
    assert text.count(old) == 1
    params.write_text(text.replace(old, new))


def test_every_class_has_a_name() -> None:
    entries = catalog().datasets
    assert set(NAMES) == {name for name, entry in entries.items() if entry.layout == "arrays"}
    assert all(len(NAMES[name]) == len(set(NAMES[name])) == entries[name].classes for name in NAMES)


def test_statistics_inside_a_border_follow_from_those_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = np.random.default_rng(0).integers(0, 256, (50, 3, 28, 28), dtype=np.uint8)
    split = Split(np.pad(inner, ((0, 0), (0, 0), (2, 2), (2, 2))), np.zeros(50, np.int16))
    mean, std = inside(describe("mnist", {"train": split, "test": split}, official=True), 2)
    theirs = channel_statistics(inner)
    assert np.allclose(mean, theirs[0], atol=3e-6)
    assert np.allclose(std, theirs[1], atol=3e-6)


def test_contact_sheet_has_the_first_images_of_each_class(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows, a class each, in which as many images stand as there are; a JPEG is near the pixels, not equal to them."""
    shrink(monkeypatch)
    LAYOUTS["unpacked"](project / "there")
    dial(project, "folder: null", "folder: there")
    fetch("cifar10")
    manifest = Manifest.read(manifest_file(project, "cifar10"))
    made = contact_sheet(manifest, project, open_project(project).settings.data)
    assert made is not None
    picture = np.asarray(Image.open(io.BytesIO(made[0]))).astype(int)
    assert picture.shape == (5 * (SIDE + GAP) - GAP, 10 * (SIDE + GAP) - GAP, 3), "five of each class, ten in a row"
    number = 5 * 3 + 2  # class 3, its third
    row, column = divmod(number, 10)
    shown = picture[row * (SIDE + GAP) :, column * (SIDE + GAP) :][:SIDE, :SIDE]
    wanted = IMAGES[[index for index, label in enumerate(LABELS) if label == 3][2]].reshape(3, 32, 32).transpose(1, 2, 0)
    other = IMAGES[0].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.abs(shown - wanted).mean() < 30 < np.abs(shown - other).mean(), "random pixels are a JPEG's worst case"
    (project / "data" / "cifar10" / "train_labels.npy").unlink()
    assert contact_sheet(manifest, project, open_project(project).settings.data) is None


def test_show_says_where_they_are_from_and_makes_the_sheet(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shrink(monkeypatch)
    LAYOUTS["unpacked"](project / "there")
    dial(project, "folder: null", "folder: there")
    fetch("cifar10")
    capsys.readouterr()
    show("cifar10")
    said = capsys.readouterr().out
    for words in ("airplane, automobile, bird", "5 of each class", "pinned in the code", "recorded at first use", "the official data"):
        assert words in said, words
    assert "sheet     scratch/sheets/cifar10.jpg: The first 10 training images of every class" in said
    with Image.open(project / "scratch" / "sheets" / "cifar10.jpg") as picture:
        assert picture.size[0] == 10 * (SIDE + GAP) - GAP
    show("cifar10", sheet=project / "elsewhere.jpg")
    assert (project / "elsewhere.jpg").is_file()


def test_report_has_the_data_behind_its_runs(project: Path) -> None:
    """Digits: pinned, with a sheet; not fetched, and no sheet, where only git's files are."""
    tables()
    report()
    page = (project / "reports" / "report.html").read_text()
    assert "Handwritten digits" in page
    assert "1,437 images" in page
    assert "<img" not in page, "a manifest is here, images are not"
    fetch("digits")
    tables()
    report()
    page = (project / "reports" / "report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 1
    assert "dataset-digits.jpg" in json.loads((project / "reports" / "data" / "manifest.json").read_text())["files"]
    tables(scale="paper", out=project / "scratch" / "paper", evidence_only=True)
    report(data=project / "scratch" / "paper", out=project / "paper.html")
    assert "<img" not in (project / "paper.html").read_text()
    manifest_file(project, "digits").unlink()
    tables()
    report()
    assert "Not fetched here: digits" in (project / "reports" / "report.html").read_text()


def test_report_says_what_is_not_verified(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    put(project / "there", {"small.tar.gz": OTHER})
    dial(project, "folder: null", "folder: there")
    dial(project, "accept: verified", "accept: unverified")
    fetch("cifar10")
    seen = overview(Manifest.read(manifest_file(project, "cifar10")))
    assert not seen.verified
    assert [split.known for split in seen.splits] == ["pinned in the code", "NOT known to be the official data"]
    paper = project / "papers" / "tiny.yaml"
    paper.write_text(paper.read_text().replace("dataset: digits", "dataset: cifar10"))
    tables()
    report()
    assert "(data not verified)" in (project / "reports" / "report.html").read_text()


def test_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Their classes are named by their folders; a data set whose licence must be asked for is not shown."""
    project = supply(tmp_path, monkeypatch)
    fetch("mine")
    show("mine")
    said = capsys.readouterr().out
    assert "ant, bee, cow" in said
    assert "My images, revision 1: trusted since it was first fetched" in said
    assert "sheet     scratch/sheets/mine.jpg" in said
    tables()
    report()
    page = (project / "reports" / "report.html").read_text()
    assert "<img" in page
    assert "ant 7+2, bee 7+2, cow 7+2" in page
    assert not ORIGINS["imagenet"].shown


def test_evidence_says_that_data_are_not_verified(project: Path) -> None:
    """Result, evidence and report; a cell of it is never judged, with the result's files and without."""
    runs = plan(project)
    for run in runs.values():
        publish(project, run)
        file = Places(project, run).result / "result.json"
        write_json(file, json.loads(file.read_text()) | {"data_verified": False})
    evidence(list(runs))
    for file in (project / "reports" / "evidence").glob("*.json"):
        assert json.loads(file.read_text())["result"]["data_verified"] is False
    shutil.rmtree(project / "results")
    tables()
    cells = json.loads((project / "reports" / "data" / "tiny-t1.json").read_text())["cells"]
    assert {cell["state"] for cell in cells} == {"data not verified"}
    assert {cell["verdict"] for cell in cells} == {None}
    assert all(run["from_evidence"] for cell in cells for run in cell["runs"])
