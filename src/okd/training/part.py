"""What a process holds of a run's result, and how parts become the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from okd.training.predict import Predictions
from okd.training.session import Epoch


@dataclass(frozen=True)
class Part:
    names: list[str]  # of its students, in order
    weights: dict[str, Tensor]
    predictions: Predictions
    history: list[Epoch]
    diverged: dict[str, Any] | None = None  # step, term and epoch of the first number that was not finite
    exchange: dict[str, Any] | None = None  # what nodes have sent each other


def joined(parts: Sequence[Part]) -> Part:
    """Parts in the order of their students. What a teacher remembers is the same in all, and taken from the first."""
    first, *others = parts
    diverged = [part.diverged for part in parts if part.diverged]
    weights, rows = dict(first.weights), dict(first.predictions.rows)
    for part in others:
        weights |= {name: tensor for name, tensor in part.weights.items() if not name.startswith("teacher.")}
        rows |= part.predictions.rows
    return Part(
        names=[name for part in parts for name in part.names],
        weights=weights,
        predictions=Predictions(first.predictions.labels, rows),
        history=[_together(epochs) for epochs in zip(*(part.history for part in parts), strict=not diverged)],
        diverged=min(diverged, key=lambda one: one["step"], default=None),
        exchange=_summed([part.exchange for part in parts if part.exchange]),
    )


def _summed(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The nodes' counts; what is no number is the same in all."""
    if not records:
        return None
    rounds = max(record["rounds"] for record in records)
    first = records[0]
    return {name: sum(record[name] for record in records) if type(value) is int else value for name, value in first.items()} | {
        "rounds": rounds,
        "steps": first["steps"],
        "nodes": len(records),
    }


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
