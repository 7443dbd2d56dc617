"""One step: the sum over students of hard * CE + soft * KL, plus what the teacher adds."""

import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.losses import cross_entropy
from okd.distillation.methods import Method
from okd.distillation.teachers.teacher import Teacher
from okd.distillation.types import Outputs

TERMS = ("hard", "soft", "own", "total")
NEVER = torch.iinfo(torch.int64).max


class Weights:
    """hard(t) and soft(t) as 0-d tensors on the device, written once an epoch."""

    def __init__(self, method: Method, device: torch.device) -> None:
        self.method = method
        self.hard, self.soft, self.nothing = (torch.zeros((), device=device) for _ in range(3))
        self.distils = False

    def set(self, epoch: int) -> None:
        hard, soft = self.method.hard(epoch), self.method.soft(epoch)
        self.hard.fill_(hard)
        self.soft.fill_(soft)
        self.distils = soft != 0


def losses(batch: Batch, outputs: Outputs, teacher: Teacher, weights: Weights) -> Tensor:
    """The terms of the loss, summed over students: hard, soft, the teacher's own, total; each as weighted. Shape (4,)."""
    lesson = teacher(batch, outputs)
    hard = weights.hard * cross_entropy(outputs.logits, batch.labels).sum()
    total, soft, own = hard, weights.nothing, weights.nothing
    if weights.distils and lesson.soft_targets is not None:
        kl = weights.method.divergence(outputs.logits, lesson.soft_targets, teacher.temperature).sum()
        soft = weights.soft * (kl + lesson.soft_loss if isinstance(lesson.soft_loss, Tensor) or lesson.soft_loss else kl)
        total = total + soft
    if isinstance(lesson.loss, Tensor) or lesson.loss:
        own = weights.nothing + lesson.loss
        total = total + own
    return torch.stack([hard, soft, own, total])


class Totals:
    """What an epoch adds up, on the device: read once at its end."""

    def __init__(self, num_students: int, device: torch.device) -> None:
        self.loss = torch.zeros(len(TERMS), dtype=torch.float64, device=device)  # sum over images
        self.correct = torch.zeros(num_students, dtype=torch.int64, device=device)
        self.images = 0

    def add(self, terms: Tensor, logits: Tensor, labels: Tensor) -> None:
        """All but the number of images, which the host knows."""
        self.loss.add_(terms.detach(), alpha=len(labels))
        self.correct += (logits.detach().argmax(dim=2) == labels).sum(dim=1)

    def clear(self) -> None:
        self.loss.zero_()
        self.correct.zero_()
        self.images = 0

    def state_dict(self) -> dict[str, Tensor | int]:
        return {"loss": self.loss, "correct": self.correct, "images": self.images}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        assert isinstance(state["loss"], Tensor) and isinstance(state["correct"], Tensor)
        self.loss.copy_(state["loss"])
        self.correct.copy_(state["correct"])
        self.images = int(state["images"])


class Alarm:
    """Notes on the device, without waiting for it, at which step each term first was not finite."""

    def __init__(self, device: torch.device) -> None:
        self.first = torch.full((len(TERMS),), NEVER, dtype=torch.int64, device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)  # steps that were watched, this one not yet
        self.never = torch.full((), NEVER, dtype=torch.int64, device=device)

    def watch(self, terms: Tensor) -> None:
        fine = terms.detach() * 0 == 0  # isfinite, in half as many kernels
        torch.minimum(self.first, torch.where(fine, self.never, self.step), out=self.first)
        self.step += 1

    def read(self) -> tuple[int, str] | None:
        """The first bad step and, at that step, the first bad term; None while all is well. Waits for the device."""
        first = self.first.tolist()
        step = min(first)
        return None if step == NEVER else (step, TERMS[first.index(step)])
