"""A data set on a device, as batches: shuffled and augmented, or in order and as it is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from okd.data import images
from okd.data.arrays import Manifest, Split
from okd.data.augmentation import Stream, crop_and_flip, draw, generator
from okd.data.batch import Batch
from okd.data.datasets import read_arrays
from okd.plan.catalog import catalog
from okd.plan.price import cost_of
from okd.plan.run import Run, RunRecipe
from okd.plan.settings import open_project

if TYPE_CHECKING:
    from okd.data.stream import StreamedData

EVALUATION_BATCH = {"cpu": 1000, "cuda": 5000}  # images at most: a GPU is idle with fewer
EVALUATION_OPERATIONS = 3e12  # at most, but for 100 images: a wide network's maps are as large as its operations are many


class Data:
    """Images stay uint8 on the device; every batch is a function of (seed, epoch, position)."""

    def __init__(
        self,
        splits: Mapping[str, Split],
        recipe: RunRecipe,
        *,
        seed: int,
        device: torch.device,
        num_held_out: int = 0,
        evaluation_batch: int = 1000,
    ) -> None:
        self.seed, self.device, self.batch_size, self.evaluation_batch = seed, device, recipe.batch_size, evaluation_batch
        self.padding, self.flip = int(recipe.augmentation["padding"]), bool(recipe.augmentation["flip"])
        self.train_images, self.train_labels = self._on_device(splits["train"])
        self.test_images, self.test_labels = self._on_device(splits["test"])
        self.mean, self.std = (torch.tensor(recipe.normalisation[name], device=device).view(3, 1, 1) for name in ("mean", "std"))
        self.kept_back = held_out_indices(splits["train"].labels, num_held_out)
        self.used = np.setdiff1d(np.arange(self.num_samples), self.kept_back)

    @property
    def num_samples(self) -> int:
        """Images of the full official training set."""
        return len(self.train_labels)

    @property
    def steps_per_epoch(self) -> int:
        """The last, short batch counts."""
        return -(-len(self.used) // self.batch_size)

    def batches(self, epoch: int, views: int = 1, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from number `start` on: each image once, the last short batch kept."""
        order = torch.from_numpy(generator(self.seed, epoch, Stream.ORDER).permutation(self.used)).to(self.device)
        draws = draw(self.seed, epoch, views=views, count=self.num_samples, padding=self.padding, flip=self.flip)
        top, left, flip = (part.to(self.device) for part in draws)
        for step in range(start, self.steps_per_epoch):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            images = self.train_images.index_select(0, index)  # on a CPU several times faster than images[index]
            if self.padding or self.flip:
                seen = [crop_and_flip(images, top[v, index], left[v, index], flip[v, index], self.padding) for v in range(views)]
            else:
                seen = [images] * views
            yield Batch(self._normalise(torch.stack(seen)), self.train_labels[index], index)

    def ordered(self) -> Iterator[Batch]:
        """The training images in use, in order, not augmented."""
        yield from self._plain(self.train_images, self.train_labels, torch.from_numpy(self.used).to(self.device))

    def held_out(self) -> Iterator[Batch]:
        yield from self._plain(self.train_images, self.train_labels, torch.from_numpy(self.kept_back).to(self.device))

    def test(self) -> Iterator[Batch]:
        yield from self._plain(self.test_images, self.test_labels, torch.arange(len(self.test_labels), device=self.device))

    def _plain(self, images: Tensor, labels: Tensor, indices: Tensor) -> Iterator[Batch]:
        for index in indices.split(self.evaluation_batch):
            yield Batch(self._normalise(images.index_select(0, index)[None]), labels[index], index)

    def _normalise(self, images: Tensor) -> Tensor:
        return images.float().div_(255).sub_(self.mean).div_(self.std)

    def _on_device(self, split: Split) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(np.array(split.images)).to(self.device)
        return images, torch.from_numpy(split.labels.astype(np.int64)).to(self.device)


def feed_for(run: Run, root: Path, *, device: torch.device, num_held_out: int) -> "tuple[Manifest, Data | StreamedData]":
    """A run's data and what describes them. Raises DataError where a byte is not what it was when they were described."""
    name = run.dataset.name
    if catalog().datasets[name].layout == "arrays":
        manifest, splits = read_arrays(name, root)
        images_at_once = evaluation_batch(run, device)
        data = Data(splits, run.recipe, seed=run.seed, device=device, num_held_out=num_held_out, evaluation_batch=images_at_once)
        return manifest, data
    from okd.data.stream import StreamedData

    manifest, listings = images.load(name, root)
    images.require_planned(run, root)
    folder = images.supplied_folder(name, root, open_project(root).settings.data)
    images.check_sizes(listings.values(), folder)
    size = manifest.shape[1]
    return manifest, StreamedData(listings, folder, run.recipe, size=size, seed=run.seed, device=device, num_held_out=num_held_out)


def evaluation_batch(run: Run, device: torch.device) -> int:
    """Images at once in an evaluation, so that it needs less memory than a training step does."""
    return max(100, min(EVALUATION_BATCH.get(device.type, 1000), int(EVALUATION_OPERATIONS / cost_of(run).flops)))


def held_out_indices(labels: np.ndarray, count: int) -> np.ndarray:
    """The same number of images of each class, the same ones for every run; sorted.

    Raises ValueError where the classes do not divide the number.
    """
    classes = np.unique(labels)
    if count % len(classes):
        raise ValueError(f"{count} held-out images cannot be spread evenly over {len(classes)} classes")
    shuffled = generator(0, 0, Stream.HELD_OUT).permutation(len(labels))
    chosen = [shuffled[labels[shuffled] == label][: count // len(classes)] for label in classes]
    return np.sort(np.concatenate(chosen)) if count else np.empty(0, np.int64)
