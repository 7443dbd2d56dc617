"""Crops and flips are torchvision's to the pixel, evenly drawn, a function of (seed, epoch, index), and fast."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from okd.data.arrays import Split
from okd.data.augmentation import crop_and_flip, draw
from okd.data.feed import Data
from okd.plan.run import RunRecipe

CPU = torch.device("cpu")
RECIPE = RunRecipe(
    epochs=1,
    batch_size=128,
    lr={"multistep": [0.1]},
    momentum=0.9,
    nesterov=True,
    weight_decay=0.0,
    normalisation={"mean": [0.5071, 0.4865, 0.4409], "std": [0.2673, 0.2564, 0.2762]},
    augmentation={"padding": 4, "flip": True},
)


def some_images(count: int, size: int = 32) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def a_set(count: int, recipe: RunRecipe = RECIPE, seed: int = 0) -> Data:
    split = Split(some_images(count).numpy(), (np.arange(count) % 10).astype(np.int16))
    return Data({"train": split, "test": split}, recipe, seed=seed, device=CPU)


def by_torchvision(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, padding: int) -> Tensor:
    from torchvision.transforms.functional import crop, hflip, pad

    height, width = images.shape[2:]
    seen = [crop(pad(image, [padding] * 4), int(t), int(x), height, width) for image, t, x in zip(images, top, left, strict=True)]
    return torch.stack([hflip(image) if mirrored else image for image, mirrored in zip(seen, flip, strict=True)])


@pytest.mark.parametrize("padding", [0, 2, 4])
def test_every_shift_and_flip_is_torchvision_s_to_the_pixel(padding: int) -> None:
    shifts = torch.arange(2 * padding + 1)
    top, left, flip = torch.cartesian_prod(shifts, shifts, torch.arange(2)).unbind(1)
    images = some_images(len(top))
    assert torch.equal(crop_and_flip(images, top, left, flip.bool(), padding), by_torchvision(images, top, left, flip, padding))


def test_images_that_are_not_square() -> None:
    images = some_images(6)[:, :, :20, :]
    top, left, flip = torch.tensor([0, 1, 2, 3, 4, 8]), torch.tensor([8, 7, 0, 1, 2, 3]), torch.arange(6) % 2 == 0
    assert torch.equal(crop_and_flip(images, top, left, flip, 4), by_torchvision(images, top, left, flip, 4))


def test_normalisation_is_torchvision_s() -> None:
    from torchvision.transforms.functional import normalize, to_tensor

    data = a_set(20)
    batch = next(data.test())
    theirs = torch.stack([
        normalize(to_tensor(image.permute(1, 2, 0).numpy()), **RECIPE.normalisation)  # type: ignore[arg-type]
        for image in some_images(20)
    ])  # fmt: skip
    assert torch.equal(batch.images[0], theirs)


def test_every_shift_and_flip_is_equally_likely() -> None:
    """100,000 draws, chi-square over the 162 cells, and over pairs of neighbours in the training set."""
    top, left, flip = draw(3, 7, views=1, count=100_000, padding=4, flip=True)
    cells = ((top * 9 + left) * 2 + flip).flatten().numpy()
    assert chisquare(np.bincount(cells, minlength=162)).pvalue > 0.001
    rows = top.flatten().numpy()
    assert chisquare(np.bincount(rows[:-1] * 9 + rows[1:], minlength=81)).pvalue > 0.001
    flips = flip.flatten().long().numpy()
    assert chisquare(np.bincount(flips[:-1] * 2 + flips[1:], minlength=4)).pvalue > 0.001


def test_torchvision_draws_from_the_same_distribution() -> None:
    """RandomCrop with its own random numbers: the same 81 shifts, evenly."""
    from torchvision.transforms import RandomCrop

    image = torch.zeros(3, 40, 40)  # padded already
    torch.manual_seed(0)
    drawn = [RandomCrop.get_params(image, (32, 32)) for _ in range(20_000)]
    cells = np.array([top * 9 + left for top, left, _, _ in drawn])
    assert cells.max() == 80
    assert chisquare(np.bincount(cells, minlength=81)).pvalue > 0.001


def test_views_epochs_and_seeds_differ_and_repeat() -> None:
    first = draw(0, 0, views=2, count=1000, padding=4, flip=True)
    assert all(torch.equal(a, b) for a, b in zip(first, draw(0, 0, views=2, count=1000, padding=4, flip=True), strict=True))
    assert not torch.equal(first.top[0], first.top[1])
    for seed, epoch in ((0, 1), (1, 0), (1, 1)):
        assert not torch.equal(first.top, draw(seed, epoch, views=2, count=1000, padding=4, flip=True).top)


def test_an_image_is_the_same_whatever_the_batch() -> None:
    """Batch size, start and order do not enter: a function of (seed, epoch, index) and nothing else."""
    seen: dict[int, Tensor] = {}
    for size in (128, 37):
        for batch in a_set(300, replace(RECIPE, batch_size=size)).batches(epoch=5):
            for image, index in zip(batch.images[0], batch.index.tolist(), strict=True):
                assert torch.equal(seen.setdefault(index, image), image)
    assert sorted(seen) == list(range(300))


def test_going_on_in_the_middle_of_an_epoch() -> None:
    data = a_set(300)
    whole, rest = list(data.batches(2, views=2)), list(data.batches(2, views=2, start=1))
    assert [len(batch.index) for batch in whole] == [128, 128, 44], "the short one is kept"
    for one, other in zip(whole[1:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.index, other.index)


@pytest.mark.parametrize("views", [1, 3])
def test_no_augmentation_leaves_images_as_they_are(views: int) -> None:
    data = a_set(100, replace(RECIPE, augmentation={"padding": 0, "flip": False}))
    plain = next(data.ordered()).images[0]
    for batch in data.batches(0, views=views):
        assert batch.images.shape[0] == views
        assert all(torch.equal(view, plain[batch.index]) for view in batch.images)


def seconds(work: Callable[[], object]) -> float:
    """The best of three, in processor time."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def test_five_times_as_fast_as_torchvision() -> None:
    from PIL import Image
    from torchvision.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    count = 2048
    data = a_set(count)
    pipeline: Any = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), ToTensor(), Normalize(**RECIPE.normalisation)])  # type: ignore[arg-type]
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in some_images(count)]
    try:
        theirs = seconds(lambda: [torch.stack([pipeline(image) for image in pictures[i : i + 128]]) for i in range(0, count, 128)])
        ours = seconds(lambda: list(data.batches(0)))
    finally:
        torch.set_num_threads(threads)
    print(f"images a second on one core: torchvision {count / theirs:,.0f}, ours {count / ours:,.0f}")
    assert ours * 5 < theirs
