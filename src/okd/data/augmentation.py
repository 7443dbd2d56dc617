"""Random crops and flips on whole batches, as a function of (seed, epoch, index) and nothing else."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Stream(IntEnum):
    """What a random number is for; each use has a stream of its own."""

    ORDER = 0
    AUGMENTATION = 1
    HELD_OUT = 2


def generator(seed: int, epoch: int, stream: Stream) -> np.random.Generator:
    """Counter-based randomness (Philox): equal on every machine, independent for every seed, epoch and stream."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch * len(Stream) + stream]))


class Draws(NamedTuple):
    """For every view and every image of the training set: where to crop and whether to flip; each (V, N)."""

    top: Tensor
    left: Tensor
    flip: Tensor


def draw(seed: int, epoch: int, *, views: int, count: int, padding: int, flip: bool) -> Draws:
    """The draws of an epoch for all images at once, so that an image's own do not depend on the order or the batch."""
    random = generator(seed, epoch, Stream.AUGMENTATION)
    offsets = random.integers(0, 2 * padding + 1, size=(2, views, count), dtype=np.int64)
    flips = random.integers(0, 2, size=(views, count), dtype=np.int64) if flip else np.zeros((views, count), np.int64)
    return Draws(torch.from_numpy(offsets[0]), torch.from_numpy(offsets[1]), torch.from_numpy(flips).bool())


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, padding: int) -> Tensor:
    """Images (B, C, H, W) padded with zeros and cropped to their size at (top, left), each (B,); mirrored where flip says so."""
    batch, channels, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(flip[:, None], width - 1 - columns, columns) + left[:, None]
    rows = torch.arange(height, device=images.device) + top[:, None]
    place = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]
    flat = padded.flatten(2)
    return flat.gather(2, place.view(batch, 1, -1).expand(batch, channels, height * width)).view(images.shape)
