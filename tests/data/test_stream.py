"""Images from files: the same whatever the number of workers, and checked as they are read."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ownimages import MINE, PAPER, SETTINGS, edit, flip, planned, supply
from PIL import Image
from torch import Tensor

from conftest import make_project
from okd.data import images
from okd.data.arrays import DataError
from okd.data.batch import Batch
from okd.data.datasets import fetch
from okd.data.feed import feed_for
from okd.data.stream import Centred, Pictures, StreamedData
from okd.plan.catalog import catalog
from okd.plan.run import Run

CPU = torch.device("cpu")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return supply(tmp_path, monkeypatch)


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


def test_images_that_leave_memory_alone(project: Path) -> None:
    """A worker gets one image at a time, as bytes of the wanted size."""
    fetch("mine", project, SETTINGS)
    _, listings = images.load("mine", project)
    pictures = Pictures(listings["train"], project.parent / "there" / "mine", Centred(16))
    assert len(pictures) == 21
    seen = pictures[7]
    assert isinstance(seen, Tensor)
    assert seen.dtype == torch.uint8
    assert seen.shape == (1, 3, 16, 16)


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
