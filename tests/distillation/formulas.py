"""The papers' formulas in float64, written from the papers and not from our code. Axes as there: M students, B batch, K classes."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(logits: Array, temperature: float = 1.0) -> Array:
    scaled = logits / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits: Array, labels: NDArray[np.int64]) -> Array:
    """Of each sample; logits (..., B, K)."""
    return -np.take_along_axis(log_softmax(logits), np.broadcast_to(labels[..., None], (*logits.shape[:-1], 1)), axis=-1)[..., 0]


def divergence(targets: Array, logits: Array, temperature: float) -> Array:
    """KL(q || softmax(z / T)) of each sample."""
    terms = np.where(targets > 0, targets * (np.log(np.where(targets > 0, targets, 1.0)) - log_softmax(logits, temperature)), 0.0)
    return terms.sum(axis=-1)


def objective(logits: Array, labels: NDArray[np.int64], targets: Array, temperature: float, *, hard: float, soft: float) -> float:
    """sum_i of the batch's mean of hard * CE(z_i, y) + soft * KL(q_i || softmax(z_i / T))."""
    each = hard * cross_entropy(logits, labels) + soft * divergence(targets, logits, temperature)
    return float(each.mean(axis=-1).sum())
