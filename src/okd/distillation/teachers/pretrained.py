"""A teacher that was trained before and stays as it is: KD."""

import torch

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs
from okd.networks.network import Network


class Pretrained(Teacher):
    """q_i = softmax(z_teacher / T) on the student's own view [Hinton, Vinyals, Dean, 2015].

    Nothing flows back: the network is in evaluation mode, needs no gradient and is not given to the optimizer.
    """

    def __init__(self, temperature: float, network: Network) -> None:
        super().__init__(temperature)
        self.network = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Pretrained":
        super().train(mode)
        self.network.eval()
        return self

    @torch.no_grad()
    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        logits = torch.stack([self.network(view)[0] for view in batch.images])
        return Lesson(soften(logits, self.temperature).expand_as(outputs.logits), prediction=logits[0])


def pretrained(temperature: float):
    def build(setting: Setting) -> Pretrained:
        if setting.pretrained is None:
            raise ValueError("this method is taught by a trained network; the run names none")
        return Pretrained(temperature, setting.pretrained)

    return build
