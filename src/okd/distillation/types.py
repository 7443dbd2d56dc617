"""What travels between group, teacher and loop.

Axes: V views (1 or M), M students, B batch, K classes, D features, N images of the training set.
"""

from typing import NamedTuple

from torch import Tensor


class Outputs(NamedTuple):
    """What a group answers to a batch."""

    logits: Tensor  # (M, B, K)
    features: list[Tensor]  # M of (B, D_m): what enters each student's classifier
    shared: Tensor | None  # (B, C, H, W) at the split: the trunk's, or network 0's in a network-based group


class Lesson(NamedTuple):
    """What a teacher answers to a group's outputs."""

    soft_targets: Tensor | None = None  # (M, B, K), rows sum to 1; None: nothing is distilled
    loss: Tensor | float = 0.0  # the teacher's own, added as it is (ONE's gate)
    soft_loss: Tensor | float = 0.0  # added with the weight of the soft loss (OKDDip's entropy ablation)
    prediction: Tensor | None = None  # (B, K) logits of the teacher itself (ONE-E)
