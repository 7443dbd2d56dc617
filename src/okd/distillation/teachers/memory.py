"""Soft labels of the whole training set, made once a cycle and remembered: MD and EC-DNN."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.schedules import Phases
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs

Shares = Callable[[Tensor, Tensor], Tensor]  # logits (M, N, K) and labels (N,) to each student's share (M,), which sum to 1


class Memory(Teacher):
    """The students' mixed soft labels, stored row by row, teach until the next cycle.

    q_i = S[x],   S = sum_i a_i softmax(z_i / t),   a_i = v_i / sum_k v_k     [Gao et al., Entropy 2019, equations 4 and 8]

    v_i is the accuracy on the training set (MD); EC-DNN has a_i = 1/M [Sun et al., arXiv 1606.00575, as MD's authors compare with
    it]. Made in evaluation mode from images as they are, when the independent epochs of a cycle end; an augmented image is taught
    by its original's row. By Jensen CE(S, y) <= sum_i a_i CE(softmax(z_i / t), y).

    Gradient: none, the rows are numbers. No lesson in evaluation: test images have no rows.
    """

    rows: Tensor

    def __init__(self, temperature: float, *, phases: Phases, shares: Shares, num_samples: int, num_classes: int) -> None:
        super().__init__(temperature)
        self.phases, self.shares = phases, shares
        self.register_buffer("rows", torch.zeros(num_samples, num_classes))

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        return Lesson(self.rows[batch.index].expand_as(outputs.logits)) if self.training else Lesson()

    def wants(self, epoch: int) -> Literal["train"] | None:
        return "train" if self.phases.distilled(epoch + 1) == 0 else None

    def remember(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        shares = self.shares(logits, labels)
        self.rows.zero_()
        for share, student in zip(shares, logits, strict=True):
            self.rows[index] += share * soften(student, self.temperature)


def by_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    correct = (logits.argmax(dim=2) == labels).sum(dim=1).to(logits.dtype)
    return torch.where(correct.sum() > 0, correct / correct.sum(), equally(logits, labels))


def equally(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.new_full((len(logits),), 1 / len(logits))


def memory(temperature: float, *, phases: Phases, shares: Shares):
    def build(setting: Setting) -> Memory:
        return Memory(temperature, phases=phases, shares=shares, num_samples=setting.num_samples, num_classes=setting.num_classes)

    return build
