"""SqueezeNet 1.1 [Iandola et al., arXiv 1602.07360]: torchvision's, with its initialisation and dropout, cut into stages.

It classifies every position and averages afterwards, with a ReLU between, so its features are its logits. The small sibling is our
own, so that the demo need not import torchvision; it has BatchNorm, without which it learns nothing in a demo's few epochs.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network

BORDERS = (0, 3, 6, 9, 13)  # in torchvision's list of layers: every stage but the last ends with a max-pooling


def squeezenet(classes: int) -> Network:
    from torchvision.models import squeezenet1_1

    model = squeezenet1_1(num_classes=classes)
    *stages, last = [model.features[begin:end] for begin, end in pairwise(BORDERS)]
    return Network([*stages, nn.Sequential(last, *model.classifier[:-1])], GlobalAverage(), nn.Identity())


class Fire(nn.Module):
    """A 1x1 convolution that squeezes, then 1x1 and 3x3 ones side by side."""

    def __init__(self, inputs: int, squeeze: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1, self.expand3 = nn.Conv2d(squeeze, outputs // 2, 1), nn.Conv2d(squeeze, outputs // 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu(self.squeeze(maps))
        return F.relu(self.bn(torch.cat([self.expand1(inner), self.expand3(inner)], dim=1)))


def squeezenet_tiny(classes: int) -> Network:
    stages = [
        nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        nn.Sequential(Fire(24, 12, 48), Fire(48, 12, 48), nn.MaxPool2d(3, 2, ceil_mode=True)),
        nn.Sequential(Fire(48, 16, 96), Fire(96, 16, 96), nn.Dropout(), nn.Conv2d(96, classes, 1), nn.ReLU()),
    ]
    network = Network(stages, GlobalAverage(), nn.Identity())
    kaiming(network, fan="fan_in")
    return network


SQUEEZENETS = {"squeezenet-tiny": squeezenet_tiny, "squeezenet1.1": squeezenet}
