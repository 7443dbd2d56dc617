"""Soft labels of the whole training set, made once a cycle and remembered: MD and EC-DNN."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.schedules import Phases
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs

Shares = Callable[[Tensor], Tensor]  # how many answers of each student (M,) are right to its share (M,), which sum to 1


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
        self.keep(index, self.mixture(self.say(logits), correct_answers(logits, labels)))

    def say(self, logits: Tensor) -> Iterator[Tensor]:
        """Logits (M, N, K) to each student's soft labels (N, K)."""
        return (soften(student, self.temperature) for student in logits)

    def mixture(self, soft_labels: Iterable[Tensor], correct: Tensor) -> Tensor:
        """S (N, K) of what each student says (N, K) and how many of its answers are right (M,): all that MD's server computes."""
        parts = (share * rows for share, rows in zip(self.shares(correct), soft_labels, strict=True))
        mixture = next(parts)
        for part in parts:
            mixture = mixture + part
        return mixture

    def keep(self, index: Tensor, mixture: Tensor) -> None:
        self.rows.zero_()
        self.rows[index] = mixture


def correct_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each student (M,), of logits (M, N, K); in the type of the shares."""
    return (logits.argmax(dim=2) == labels).sum(dim=1).to(logits.dtype)


def by_accuracy(correct: Tensor) -> Tensor:
    return torch.where(correct.sum() > 0, correct / correct.sum(), equally(correct))


def equally(correct: Tensor) -> Tensor:
    return torch.full_like(correct, 1 / len(correct))


def memory(temperature: float, *, phases: Phases, shares: Shares):
    def build(setting: Setting) -> Memory:
        return Memory(temperature, phases=phases, shares=shares, num_samples=setting.num_samples, num_classes=setting.num_classes)

    return build
