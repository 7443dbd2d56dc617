"""The two losses of every method, for all students of a group at once."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Divergence = Callable[[Tensor, Tensor, float], Tensor]  # logits and targets (M, B, K), temperature, to one value a student (M,)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """softmax(z / T) over the last axis."""
    return F.softmax(logits / temperature, dim=-1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """CE(z_i, y) of logits (M, B, K) and labels (B,): mean over the batch, one value a student (M,)."""
    students, batch, classes = logits.shape
    flat = F.cross_entropy(logits.reshape(-1, classes), labels.expand(students, batch).reshape(-1), reduction="none")
    return flat.view(students, batch).mean(dim=1)


def distillation(logits: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
    """KL(q_i || softmax(z_i / T)) of logits and targets (M, B, K): mean over the batch, one value a student (M,).

    The whole divergence: the target's own entropy counts, because OKDDip's targets carry gradient. There is no T^2 here.
    """
    log_predictions = F.log_softmax(logits / temperature, dim=-1)
    # q log q has the value 0 at q = 0, but no gradient that a target could carry.
    positive = soft_targets.clamp(min=torch.finfo(soft_targets.dtype).tiny)
    return F.kl_div(log_predictions, positive, reduction="none").sum(dim=-1).mean(dim=1)


def naive_distillation(logits: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
    """The same divergence as its formula is typed: q (log q - log softmax(z_i / T)).

    Not finite where a softmax has become 0, which logits 104 T apart do in fp32; MD's paper reports such runs as NaN.
    """
    predictions = soften(logits, temperature)
    return (soft_targets * (soft_targets.log() - predictions.log())).sum(dim=-1).mean(dim=1)
