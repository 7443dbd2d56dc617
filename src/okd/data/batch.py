"""What the loop gives to a group and its teacher."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """V is 1 (all students share a view) or M (each has its own)."""

    images: Tensor  # (V, B, C, H, W), normalised
    labels: Tensor  # (B,)
    index: Tensor  # type: ignore[assignment]  # (B,) position in the full official training set
