"""A folder of images that the user supplies: described by its bytes, never copied, and a run's identity."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ownimages import CLASSES, SETTINGS, edit, flip, paint, planned, supply

from conftest import plan
from okd.data.arrays import DataError, manifest_file
from okd.data.datasets import fetch
from okd.data.feed import feed_for
from okd.plan.run import Run
from okd.plan.store import FILES, Places

CPU = torch.device("cpu")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return supply(tmp_path, monkeypatch)


def test_cells_wait_for_the_images(project: Path) -> None:
    """Not available, then planned; other images are another run."""
    assert plan(project) == {}
    assert fetch("mine", project, SETTINGS) == "data/mine: prepared"
    assert fetch("mine", project, SETTINGS) == "data/mine: checked"
    run = planned(project)
    assert run.data
    assert run.spec["data"] == run.data
    assert Run.from_json(run.to_json()) == run
    paint(project.parent / "there" / "mine" / "train" / "bee" / "01.png", 99)
    manifest_file(project, "mine").unlink()
    fetch("mine", project, SETTINGS)
    assert planned(project).key != run.key


def test_manifest_and_lists(project: Path) -> None:
    """Counts, one identity for equal bytes wherever they lie, no path of this machine, and no copy."""
    fetch("mine", project, SETTINGS)
    text = manifest_file(project, "mine").read_text()
    record = json.loads(text)
    assert record["splits"]["train"]["per_class"] == [7, 7, 7]
    assert record["splits"]["test"]["count"] == 6
    assert str(project.parent) not in text
    assert sorted(path.name for path in (project / "data" / "mine").iterdir()) == ["READY", "test.files", "train.files"]
    lines = (project / "data" / "mine" / "test.files").read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line.split("  ")[2])
    assert lines[0].endswith("val/ant/deep/0.JPEG")
    shutil.move(project.parent / "there", project.parent / "elsewhere")
    manifest_file(project, "mine").unlink()
    fetch("mine", project, SETTINGS.model_copy(update={"folder": "../elsewhere"}))
    assert manifest_file(project, "mine").read_text() == text


WRONG: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no folder": ("there is no", lambda mine: shutil.rmtree(mine)),
    "no val": ("no folder val or test", lambda mine: shutil.rmtree(mine / "val")),
    "empty": ("holds no images", lambda mine: [shutil.rmtree(mine / "train" / name) for name in CLASSES]),
    "one image less": ("train: 20, test: 6, but the catalog says", lambda mine: (mine / "train" / "bee" / "01.png").unlink()),
    "a class less": ("in one of its two parts only, the first is cow", lambda mine: shutil.rmtree(mine / "val" / "cow")),
    "strange name": ("cannot be listed", lambda mine: paint(mine / "train" / "bee" / "a\nb.png", 3)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_folder_that_is_not_what_the_catalog_says(wrong: str, project: Path) -> None:
    words, damage = WRONG[wrong]
    damage(project.parent / "there" / "mine")
    with pytest.raises(DataError, match=words) as caught:
        fetch("mine", project, SETTINGS)
    assert "\n" not in str(caught.value)
    assert not (project / "data" / "mine").exists()
    with pytest.raises(DataError, match=r"set data\.folder in params\.yaml"):
        fetch("mine", project)


BEE = "there/mine/val/bee/deep/1.JPEG"
STALE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "image of another size": ("has .* bytes; it had", lambda root: edit(root.parent / BEE, lambda raw: raw[1:])),
    "image gone": ("is gone", lambda root: (root.parent / BEE).unlink()),
    "list edited": ("missing or differs", lambda root: edit(root / "data/mine/train.files", flip)),
    "list gone": ("missing or differs", lambda root: (root / "data/mine/test.files").unlink()),
    "list of something else": ("missing or differs", lambda root: (root / "data/mine/test.files").write_text("hello\n")),
    "no manifest": ("run `okd fetch mine`", lambda root: manifest_file(root, "mine").unlink()),
}


@pytest.mark.parametrize("stale", STALE)
def test_what_has_changed_is_noticed_before_training(stale: str, project: Path) -> None:
    fetch("mine", project, SETTINGS)
    run, (words, damage) = planned(project), STALE[stale]
    damage(project)
    with pytest.raises(DataError, match=words) as caught:
        feed_for(run, project, device=CPU, num_held_out=0)
    assert "\n" not in str(caught.value)


def test_plan_made_for_other_images(project: Path) -> None:
    fetch("mine", project, SETTINGS)
    run = planned(project)
    paint(project.parent / "there" / "mine" / "train" / "bee" / "01.png", 99)
    (project / "data" / "mine" / "train.files").unlink()
    with pytest.raises(DataError, match=r"not what data/mine\.manifest\.json describes"):
        fetch("mine", project, SETTINGS)
    manifest_file(project, "mine").unlink()
    fetch("mine", project, SETTINGS)
    with pytest.raises(DataError, match="planned with other images"):
        feed_for(run, project, device=CPU, num_held_out=0)


def test_a_result_of_other_images_is_not_called_done(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DVC starts the trainer since the manifest changed; "already done" would make it record the old result."""
    from okd.cli.fetch import fetch as fetch_verb
    from okd.cli.train import train

    fetch_verb("mine")
    run = planned(project)
    places = Places(project, run)
    places.result.mkdir(parents=True)
    for name in FILES:
        (places.result / name).touch()
    fetch_verb("mine")
    train(run.id)
    said = capsys.readouterr().err
    assert "already done" in said
    assert "next: okd plan" not in said
    paint(project.parent / "there" / "mine" / "train" / "bee" / "01.png", 99)
    manifest_file(project, "mine").unlink()
    (project / "data" / "mine" / "train.files").unlink()
    fetch_verb("mine")
    assert "mine: these are other images than those of the plan; next: okd plan\n" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"planned with other images than data/mine\.manifest\.json describes: run `okd plan`"):
        train(run.id)
    assert planned(project).key != run.key


def test_training_on_own_images(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the folder to a result, by the loop that trains everything."""
    from okd.cli.data import show
    from okd.cli.train import train

    fetch("mine", project, SETTINGS)
    show("mine")
    assert "train     21 images, 7 of each class" in capsys.readouterr().out
    run = planned(project)
    train(run.id)
    (result,) = (project / "results").rglob("result.json")
    record = json.loads(result.read_text())
    assert record["status"] == "done"
    assert record["test_images"] == 6
    assert record["data"]["train"] == json.loads(manifest_file(project, "mine").read_text())["splits"]["train"]["sha256"]


def test_gc_keeps_results_whose_images_are_not_described(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People are told to delete the manifest before they fetch again: that must not cost them hours of training."""
    from okd.cli.gc import gc

    fetch("mine", project, SETTINGS)
    run = planned(project)
    places, stranger = Places(project, run), project / "results" / "paper" / "tiny-mine-resnet8-kd-s0" / "0123456789ab"
    for folder in (places.result, places.scratch, stranger):
        folder.mkdir(parents=True)
    manifest = manifest_file(project, "mine").read_bytes()
    manifest_file(project, "mine").unlink()
    for every in (False, True):
        gc(every=every)
        assert places.result.exists()
        assert places.scratch.exists()
    assert not stranger.exists()
    manifest_file(project, "mine").write_bytes(manifest)
    assert planned(project) == run
    assert "resnet8-baseline" not in capsys.readouterr().out
