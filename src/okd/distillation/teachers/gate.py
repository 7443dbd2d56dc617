"""A learned mixture of the branches: ONE."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.teachers.teacher import Teacher
from okd.distillation.types import Lesson, Outputs


class Gate(Teacher):
    """Gated logits teach every branch [Lan, Zhu, Gong, NeurIPS 2018, equations 4 to 7].

    z_e = sum_i g_i z_i,   g = softmax(relu(BN(W pool(shared) + b))),   q_i = softmax(z_e / T),   own loss CE(z_e, y)

    Gradient: `detach` cuts q off (the authors' code), so that KL trains branches only; CE(z_e, y) is never cut and trains the gate
    and, scaled by g_i, every branch. OKDDip's copy of ONE leaves q attached.
    """

    def __init__(self, temperature: float, *, channels: int, size: int, detach: bool) -> None:
        super().__init__(temperature)
        self.detach = detach
        self.linear = nn.Linear(channels, size)
        self.bn = nn.BatchNorm1d(size)

    def weights(self, outputs: Outputs) -> Tensor:
        """g, (B, M); each row sums to 1."""
        assert outputs.shared is not None
        pooled = outputs.shared.mean(dim=(2, 3))
        return F.softmax(F.relu(self.bn(self.linear(pooled))), dim=1)

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        gated = torch.einsum("bm,mbk->bk", self.weights(outputs), outputs.logits)
        soft = soften(gated.detach() if self.detach else gated, self.temperature)
        return Lesson(soft.expand_as(outputs.logits), loss=F.cross_entropy(gated, batch.labels), prediction=gated)


class MeanGate(Gate):
    """ONE without gating: g_i = 1/M, nothing to learn."""

    def __init__(self, temperature: float, *, size: int, detach: bool) -> None:
        Teacher.__init__(self, temperature)
        self.detach, self.size = detach, size

    def weights(self, outputs: Outputs) -> Tensor:
        _, batch, _ = outputs.logits.shape
        return outputs.logits.new_full((batch, self.size), 1 / self.size)


def gate(temperature: float, *, kind: Literal["learned", "mean"], detach: bool):
    def build(setting) -> Gate:
        if kind == "mean":
            return MeanGate(temperature, size=setting.size, detach=detach)
        assert setting.trunk_channels is not None
        return Gate(temperature, channels=setting.trunk_channels, size=setting.size, detach=detach)

    return build
