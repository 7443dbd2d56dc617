"""What a process holds of a run's result, and how parts become the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from okd.training.predict import Predictions
from okd.training.session import Epoch


@dataclass(frozen=True)
class Part:
    names: list[str]  # of its students, in order
    weights: dict[str, Tensor]
    predictions: Predictions
    history: list[Epoch]


def joined(parts: Sequence[Part]) -> Part:
    """Parts in the order of their students. What a teacher remembers is the same in all, and taken from the first."""
    first, *others = parts
    weights, rows = dict(first.weights), dict(first.predictions.rows)
    for part in others:
        weights |= {name: tensor for name, tensor in part.weights.items() if not name.startswith("teacher.")}
        rows |= part.predictions.rows
    return Part(
        names=[name for part in parts for name in part.names],
        weights=weights,
        predictions=Predictions(first.predictions.labels, rows),
        history=[_together(epochs) for epochs in zip(*(part.history for part in parts), strict=True)],
    )


def _together(epochs: Sequence[Epoch]) -> Epoch:
    """One epoch of all students: losses are sums over students, the time is the slowest's."""
    correct: dict[str, int] = {}
    for epoch in epochs:
        correct |= epoch.test_correct
    sums = {name: sum(getattr(epoch, name) for epoch in epochs) for name in ("loss_hard", "loss_soft", "loss_own", "loss_total")}
    return replace(
        epochs[0],
        **sums,
        seconds=max(epoch.seconds for epoch in epochs),
        train_correct=[count for epoch in epochs for count in epoch.train_correct],
        test_correct=correct,
    )
