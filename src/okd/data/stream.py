"""A folder of image files as batches: read and transformed by worker processes, checked as they are read."""

import hashlib
import io
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from okd.data.arrays import DataError
from okd.data.augmentation import Stream, generator
from okd.data.batch import Batch
from okd.data.feed import held_out_indices
from okd.data.images import Listing
from okd.plan.run import RunRecipe

EVALUATION_BATCH = 250
MOST_WORKERS = 8
SHOWN = 224 / 256  # the share of the shorter side that an evaluation sees


class StreamedData:
    """The same face as Data. Every batch is a function of (seed, epoch, position), whatever the number of workers."""

    def __init__(
        self,
        listings: Mapping[str, Listing],
        folder: Path,
        recipe: RunRecipe,
        *,
        size: int,
        seed: int,
        device: torch.device,
        num_held_out: int = 0,
        workers: int | None = None,
    ) -> None:
        self.listings, self.folder, self.recipe = listings, folder, recipe
        self.size, self.seed, self.device, self.batch_size = size, seed, device, recipe.batch_size
        self.workers = min(MOST_WORKERS, max(1, len(os.sched_getaffinity(0)) - 1)) if workers is None else workers
        self.mean, self.std = (torch.tensor(recipe.normalisation[name], device=device).view(3, 1, 1) for name in ("mean", "std"))
        self.train_labels = listings["train"].labels
        self.kept_back = held_out_indices(self.train_labels, num_held_out)
        self.used = np.setdiff1d(np.arange(self.num_samples), self.kept_back)
        self.part: Callable[[int], slice] = slice  # of a batch of so many images, what this process sees: all of it

    @property
    def num_samples(self) -> int:
        """Images of the full training set."""
        return len(self.train_labels)

    @property
    def steps_per_epoch(self) -> int:
        """The last, short batch counts."""
        return -(-len(self.used) // self.batch_size)

    def batches(self, epoch: int, views: int = 1, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from number `start` on: each image once, the last short batch kept."""
        order = generator(self.seed, epoch, Stream.ORDER).permutation(self.used)
        flip = bool(self.recipe.augmentation["flip"])
        pictures = Pictures(self.listings["train"], self.folder, Augmented(self.size, self.seed, epoch, views, flip=flip))
        yield from self._loaded(pictures, order[start * self.batch_size :], self.batch_size)

    def ordered(self) -> Iterator[Batch]:
        """The training images in use, in order, not augmented."""
        yield from self._plain("train", self.used)

    def held_out(self) -> Iterator[Batch]:
        yield from self._plain("train", self.kept_back)

    def test(self) -> Iterator[Batch]:
        yield from self._plain("test", np.arange(len(self.listings["test"].paths)))

    def _plain(self, split: str, indices: np.ndarray) -> Iterator[Batch]:
        yield from self._loaded(Pictures(self.listings[split], self.folder, Centred(self.size)), indices, EVALUATION_BATCH)

    def _loaded(self, pictures: "Pictures", indices: np.ndarray, batch_size: int) -> Iterator[Batch]:
        labels = torch.from_numpy(pictures.labels.astype(np.int64))
        batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        groups = [batch[self.part(len(batch))].tolist() for batch in batches]
        loader = DataLoader(
            pictures,
            batch_sampler=groups,
            collate_fn=partial(_stacked, nothing=torch.empty(0, *pictures.transform.shape, dtype=torch.uint8)),
            num_workers=min(self.workers, len(groups)),
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_out_of_the_group,
            generator=torch.Generator(),  # a loader without one draws from the global generator
        )
        for group, images in zip(groups, loader, strict=True):
            if isinstance(images, DataError):
                raise images
            seen = images.to(self.device, non_blocking=True).transpose(0, 1)
            index = torch.tensor(group, dtype=torch.int64)
            yield Batch(self._normalise(seen), labels[index].to(self.device), index.to(self.device))

    def _normalise(self, images: Tensor) -> Tensor:
        return images.float().div_(255).sub_(self.mean).div_(self.std)


class Pictures(Dataset):
    """Image number i as the transform shows it: uint8 (V, 3, size, size)."""

    # An error is handed over, not raised: a worker's exception would come as a page of text, and keep the worker alive.

    def __init__(self, listing: Listing, folder: Path, transform: "Augmented | Centred") -> None:
        self.listing, self.labels = listing, listing.labels
        self.folder, self.transform = folder, transform

    def __len__(self) -> int:
        return len(self.listing.paths)

    def __getitem__(self, index: int) -> Tensor | DataError:
        """A DataError where a byte has changed since `okd fetch`, or where the file is no image."""
        from PIL import Image

        path = self.folder / self.listing.paths[index]
        try:
            raw = self.listing.read(index, self.folder)
        except OSError as error:
            return DataError(f"{path}: {error.strerror}")
        if hashlib.sha256(raw).hexdigest() != self.listing.hashes[index]:
            return DataError(f"{path} has changed since `okd fetch` described it")
        try:
            image = Image.open(io.BytesIO(raw)).convert("RGB")
        except Exception as error:  # Pillow raises whatever its decoders do
            return DataError(f"{path} is no image ({type(error).__name__})")
        return self.transform(image, index)


class Augmented:
    """torchvision's random resized crop and flip, drawn from (seed, epoch, view, index)."""

    def __init__(self, size: int, seed: int, epoch: int, views: int, *, flip: bool) -> None:
        from torchvision.transforms import v2

        steps: Sequence[Any] = [v2.RandomResizedCrop(size), *([v2.RandomHorizontalFlip()] if flip else []), v2.PILToTensor()]
        self.transform = v2.Compose(steps)
        self.seed, self.epoch, self.views, self.shape = seed, epoch, views, (views, 3, size, size)

    def __call__(self, image: Any, index: int) -> Tensor:
        return torch.stack([self._view(image, index, view) for view in range(self.views)])

    def _view(self, image: Any, index: int, view: int) -> Tensor:
        number = np.random.SeedSequence([self.seed, self.epoch, Stream.AUGMENTATION, view, index]).generate_state(1, np.uint64)[0]
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(int(number))  # torch.manual_seed would reseed a GPU's generator too
        try:
            return self.transform(image)
        finally:
            torch.set_rng_state(before)


class Centred:
    """The evaluation's view: shorter side to size * 256 / 224, then the middle."""

    def __init__(self, size: int) -> None:
        from torchvision.transforms import v2

        self.transform = v2.Compose([v2.Resize(round(size / SHOWN)), v2.CenterCrop(size), v2.PILToTensor()])
        self.shape = (1, 3, size, size)

    def __call__(self, image: Any, index: int) -> Tensor:
        return self.transform(image)[None]


def _stacked(items: list[Tensor | DataError], nothing: Tensor) -> Tensor | DataError:
    """A batch, or the first thing that is wrong with it; `nothing` where another process has all of a short batch."""
    problem = next((item for item in items if isinstance(item, DataError)), None)
    return problem or (torch.stack([item for item in items if isinstance(item, Tensor)]) if items else nothing)


def _out_of_the_group(worker: int) -> None:
    """A signal to the trainer's group must not take the workers from it while it is about to save; they end with it."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)  # not the trainer's handlers, which only set a flag
