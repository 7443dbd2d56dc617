"""The contract of a teacher."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from okd.data.batch import Batch
from okd.distillation.types import Lesson, Outputs
from okd.networks.network import Network


class Setting(NamedTuple):
    """All that a teacher may know when it is built."""

    size: int  # students in the group, the leader included
    width: int  # features that enter a classifier (of student 0)
    trunk_channels: int | None  # channels of Outputs.shared
    num_samples: int  # images of the training set
    num_classes: int
    pretrained: Network | None = None  # a network that was trained before


class Teacher(nn.Module):
    """Answers a batch and the group's outputs with a lesson. This one is silent: nothing is distilled.

    Everything that a teacher remembers is a parameter or a buffer, so that one checkpoint holds it.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        return Lesson()

    def wants(self, epoch: int) -> Literal["train", "held_out"] | None:
        """What the teacher asks to be shown, all of it, after this epoch."""
        return None

    def remember(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Index (N,), logits (M, N, K) and labels (N,) of what it asked for, students in evaluation mode."""
        raise AssertionError(f"{type(self).__name__} wants nothing")


def silent(setting: Setting) -> Teacher:
    return Teacher()
