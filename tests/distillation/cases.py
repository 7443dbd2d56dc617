"""Random batches and outputs of a group, without any network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.methods import Method, method
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs
from okd.plan.catalog import Value, catalog
from okd.training.step import Weights, losses

EPOCHS = 6
WIDTH, CHANNELS = 24, 12
LATE = 10_000  # an epoch after every ramp-up
TOLERANCE = 1e-6


def batch_of(count: int, classes: int, *, seed: int = 0, num_samples: int | None = None) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    index = torch.randperm(num_samples or count, generator=draw)[:count]
    return Batch(torch.zeros(1, count, 3, 4, 4), torch.randint(classes, (count,), generator=draw), index)


def outputs_of(students: int, count: int, classes: int, *, seed: int = 0, scale: float = 3.0, requires_grad: bool = True) -> Outputs:
    draw = torch.Generator().manual_seed(seed + 1)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    logits = (scale * random(students, count, classes)).requires_grad_(requires_grad)
    features = [random(count, WIDTH).requires_grad_(requires_grad) for _ in range(students)]
    return Outputs(logits, features, random(count, CHANNELS, 4, 4).requires_grad_(requires_grad))


def row(name: str, *, epochs: int = EPOCHS, **options: Value) -> Method:
    """A method with the catalog's defaults, a reading or options."""
    return method(name, catalog().methods[name].resolve(options), epochs=epochs)


def teacher_of(row: Method, *, students: int, classes: int, num_samples: int = 64, pretrained=None) -> Teacher:
    setting = Setting(
        size=students, width=WIDTH, trunk_channels=CHANNELS, num_samples=num_samples, num_classes=classes, pretrained=pretrained
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return row.teacher(setting).train()


def terms_of(row: Method, teacher: Teacher, batch: Batch, outputs: Outputs, *, epoch: int = LATE) -> Tensor:
    """hard, soft, the teacher's own loss, total."""
    weights = Weights(row, torch.device("cpu"))
    weights.set(epoch)
    return losses(batch, outputs, teacher, weights)


def targets_of(lesson: Lesson) -> Tensor:
    assert lesson.soft_targets is not None
    return lesson.soft_targets


def float64(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def error(ours: Tensor, formula: NDArray[np.float64] | float) -> float:
    """The largest error, relative to the largest value."""
    return float(np.abs(float64(ours) - formula).max() / np.abs(formula).max())
