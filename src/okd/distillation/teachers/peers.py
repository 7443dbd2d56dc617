"""Peers that teach each other as equals: DML and CL-ILR."""

from typing import Literal

import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs


class Peers(Teacher):
    """The others' mean is a student's target.

    mix = probabilities:  q_i = 1/(M-1) sum_{j != i} softmax(z_j / T)     [Zhang et al., CVPR 2018, equation 8]
    mix = logits:         q_i = softmax(1/(M-1) sum_{j != i} z_j / T)     [Song and Chai, NeurIPS 2018; OKDDip's code]

    With detached targets the gradient of KL to the mean probability is that of the mean of the pairwise KLs, so DML needs no loop
    over pairs. `detach`: whether the targets carry gradient to the peers that make them.
    """

    def __init__(self, temperature: float, *, mix: Literal["probabilities", "logits"], detach: bool) -> None:
        super().__init__(temperature)
        self.mix, self.detach = mix, detach

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        logits = outputs.logits.detach() if self.detach else outputs.logits
        if self.mix == "probabilities":
            return Lesson(mean_of_others(soften(logits, self.temperature)))
        return Lesson(soften(mean_of_others(logits), self.temperature))


def mean_of_others(values: Tensor) -> Tensor:
    """(M, ...) to (M, ...): for each the mean of the other M - 1, summed without the one left out to lose no digits."""
    students = len(values)
    others = 1 - torch.eye(students, dtype=values.dtype, device=values.device)
    return torch.tensordot(others, values, dims=1) / (students - 1)


def peers(temperature: float, *, mix: Literal["probabilities", "logits"], detach: bool):
    def build(setting: Setting) -> Peers:
        return Peers(temperature, mix=mix, detach=detach)

    return build
