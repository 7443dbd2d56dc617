"""Wide ResNets for CIFAR: the published one, and the one that OKDDip's code calls by a similar name.

WRN-16-2 [Zagoruyko and Komodakis, BMVC 2016] normalises and activates before every convolution. "WRN-20-8" of OKDDip's code is no
such network (its depth is not 6n+4): it is a CIFAR ResNet of bottleneck blocks whose inner convolutions are eight times as wide.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network
from okd.networks.resnet import CHANNELS, conv3x3, projection


class PreactivationBlock(nn.Module):
    """Two 3x3 convolutions, each behind BatchNorm and ReLU; a shortcut that must project shares the first of these."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, channels, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), conv3x3(channels, channels)
        self.projection = None if stride == 1 and inputs == channels else nn.Conv2d(inputs, channels, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        active = F.relu(self.bn1(maps))
        inner = F.relu(self.bn2(self.conv1(active)))
        return self.conv2(inner) + (maps if self.projection is None else self.projection(active))


class WideBottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with `inner` channels between them; the 3x3 one may be grouped."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else projection(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.shortcut(maps))


def wide_resnet(classes: int, *, depth: int, widening: int) -> Network:
    """`depth` pre-activation blocks in each of three stages; the last BatchNorm and ReLU belong to the third."""
    inputs = CHANNELS[0]
    stages: list[nn.Module] = [conv3x3(3, inputs)]
    for number, channels in enumerate(CHANNELS):
        blocks = []
        for index in range(depth):
            blocks.append(PreactivationBlock(inputs, channels * widening, 2 if number > 0 and index == 0 else 1))
            inputs = channels * widening
        stages.append(nn.Sequential(*blocks))
    stages[-1] = nn.Sequential(stages[-1], nn.BatchNorm2d(inputs), nn.ReLU())
    network = Network(stages, GlobalAverage(), nn.Linear(inputs, classes))
    kaiming(network)
    return network


def wide_bottleneck_resnet(classes: int, *, depth: int, widening: int) -> Network:
    """`depth` bottleneck blocks in each of three stages, `widening` times as wide inside as a ResNet's, as wide outside."""
    inputs = CHANNELS[0]
    stages: list[nn.Module] = [nn.Sequential(conv3x3(3, inputs), nn.BatchNorm2d(inputs), nn.ReLU())]
    for number, channels in enumerate(CHANNELS):
        blocks = []
        for index in range(depth):
            blocks.append(WideBottleneck(inputs, channels * widening, channels * 4, 2 if number > 0 and index == 0 else 1))
            inputs = channels * 4
        stages.append(nn.Sequential(*blocks))
    network = Network(stages, GlobalAverage(), nn.Linear(inputs, classes))
    kaiming(network)
    return network


WIDE_RESNETS = {
    "wrn-16-2": partial(wide_resnet, depth=2, widening=2),
    "wrn-20-8": partial(wide_bottleneck_resnet, depth=2, widening=8),
    "wrn-tiny": partial(wide_resnet, depth=1, widening=1),
}
