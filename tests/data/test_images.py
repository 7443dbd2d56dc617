"""A folder of images that the user supplies: described by its bytes, never copied, streamed the same whatever the number of workers."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from conftest import TINY, make_project, plan
from okd.data import images
from okd.data.arrays import DataError, manifest_file
from okd.data.batch import Batch
from okd.data.datasets import fetch
from okd.data.feed import feed_for
from okd.data.stream import Pictures, StreamedData
from okd.plan.catalog import Augmentation, DatasetEntry, Normalisation, catalog
from okd.plan.run import Run
from okd.plan.settings import DataSettings

CPU = torch.device("cpu")
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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


SETTINGS = DataSettings(accept="verified", folder="../there", mirror=None)


def planned(project: Path) -> Run:
    (run,) = plan(project).values()
    return run


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


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


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


def opened(project: Path, run: Run, workers: int = 0, seed: int | None = None) -> StreamedData:
    _, listings = images.load("mine", project)
    folder = images.supplied_folder("mine", project, SETTINGS)
    return StreamedData(
        listings, folder, run.recipe, size=16, seed=run.seed if seed is None else seed, device=CPU, num_held_out=3, workers=workers
    )


def by_index(batches: list[Batch]) -> dict[int, Tensor]:
    return {int(number): image for batch in batches for number, image in zip(batch.index, batch.images.transpose(0, 1), strict=True)}


def test_images_are_a_function_of_seed_epoch_and_index(project: Path) -> None:
    """Workers, batches, the start and the global generator do not enter."""
    fetch("mine", project, SETTINGS)
    run = planned(project)
    before = torch.get_rng_state()
    alone = list(opened(project, run).batches(2, views=2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert [tuple(batch.images.shape) for batch in alone] == [(2, 8, 3, 16, 16), (2, 8, 3, 16, 16), (2, 2, 3, 16, 16)]
    with_workers = list(opened(project, run, workers=2).batches(2, views=2))
    later = list(opened(project, run).batches(2, views=2, start=1))
    for one, other in zip(alone + alone[1:], with_workers + later, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.index, other.index)
    seen = by_index(alone)
    assert len(seen) == 18, "three are held out"
    assert not any(torch.equal(image[0], image[1]) for image in seen.values()), "both views are the same"
    for other in (opened(project, run).batches(3), opened(project, run, seed=1).batches(2)):
        changed = by_index(list(other))
        assert not any(torch.equal(seen[number][0], changed[number][0]) for number in seen.keys() & changed.keys())


def test_evaluation_sees_the_middle(project: Path) -> None:
    from torchvision.transforms import v2

    fetch("mine", project, SETTINGS)
    data = opened(project, planned(project))
    (batch,) = data.test()
    assert batch.labels.tolist() == [0, 0, 1, 1, 2, 2]
    first = Image.open(project.parent / "there" / "mine" / "val" / "ant" / "deep" / "0.JPEG").convert("RGB")
    theirs = v2.PILToTensor()(v2.CenterCrop(16)(v2.Resize(18)(first)))
    assert torch.equal(batch.images[0, 0], (theirs.float() / 255 - 0.5) / 0.25)
    ordered, held = by_index(list(data.ordered())), by_index(list(data.held_out()))
    assert sorted(ordered.keys() | held.keys()) == list(range(21))
    assert len(held) == 3


def flip(raw: bytes) -> bytes:
    return raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("words", "damage"),
    [
        ("has changed since", lambda file: edit(file, flip)),
        ("No such file", lambda file: file.unlink()),
    ],
)
def test_changed_image_stops_the_run(words: str, damage: Callable[[Path], object], workers: int, project: Path) -> None:
    """Every byte is checked when it is read, in whichever process."""
    fetch("mine", project, SETTINGS)
    data = opened(project, planned(project), workers=workers)
    damage(project.parent / "there" / "mine" / "val" / "cow" / "deep" / "5.JPEG")
    with pytest.raises(DataError, match=rf"cow/deep/5\.JPEG.*{words}") as caught:
        list(data.test())
    assert "\n" not in str(caught.value)


def test_file_that_is_no_image(project: Path) -> None:
    edit(project.parent / "there" / "mine" / "val" / "cow" / "deep" / "5.JPEG", lambda raw: raw[:40])
    fetch("mine", project, SETTINGS)
    with pytest.raises(DataError, match=r"5\.JPEG is no image"):
        list(opened(project, planned(project)).test())


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


def test_images_that_leave_memory_alone(project: Path) -> None:
    """A worker gets one image at a time, as bytes of the wanted size."""
    fetch("mine", project, SETTINGS)
    _, listings = images.load("mine", project)
    from okd.data.stream import Centred

    pictures = Pictures(listings["train"], project.parent / "there" / "mine", Centred(16))
    assert len(pictures) == 21
    seen = pictures[7]
    assert isinstance(seen, Tensor)
    assert seen.dtype == torch.uint8
    assert seen.shape == (1, 3, 16, 16)


def test_training_on_own_images(project: Path) -> None:
    """From the folder to a result, by the loop that trains everything."""
    from okd.cli.train import train

    fetch("mine", project, SETTINGS)
    run = planned(project)
    train(run.id)
    (result,) = (project / "results").rglob("result.json")
    record = json.loads(result.read_text())
    assert record["status"] == "done"
    assert record["test_images"] == 6
    assert record["data"]["train"] == json.loads(manifest_file(project, "mine").read_text())["splits"]["train"]["sha256"]


@pytest.mark.slow
def test_ten_classes_of_tiny_imagenet(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real JPEG files, 5,500 of them, as a user would bring them."""
    entry = MINE.model_copy(update={"classes": 10, "train": 5000, "test": 500, "size": 64})
    monkeypatch.setitem(catalog().datasets, "mine", entry)
    with zipfile.ZipFile(reference / "data" / "tiny-imagenet10.zip") as archive:
        for item in json.loads(archive.read("manifest.json"))["files"]:
            file = tmp_path / "there" / "mine" / item["name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.read(item["member"]))
    (tmp_path / "here").mkdir()
    made = make_project(tmp_path / "here", monkeypatch, paper=PAPER.replace("batch_size: 8", "batch_size: 128"))
    fetch("mine", made, SETTINGS)
    run = planned(made)
    params = made / "params.yaml"
    params.write_text(params.read_text().replace("folder: null", "folder: ../there"))
    _, data = feed_for(run, made, device=CPU, num_held_out=0)
    seen = list(data.batches(0))
    assert sum(len(batch.index) for batch in seen) == 5000
    assert torch.bincount(torch.cat([batch.labels for batch in data.test()])).tolist() == [50] * 10
