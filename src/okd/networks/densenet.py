"""DenseNets for CIFAR [Huang, Liu, van der Maaten, Weinberger, CVPR 2017], as OKDDip's code and pytorch-classification have them.

Three dense blocks of `growth` new channels a layer, with a transition after the first two. "DenseNet-40-12" is two networks in the
literature: BC (bottleneck layers 6-6-6, transitions that halve the channels; OKDDip) and the plain one (12-12-12, a narrower stem).
"""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network
from okd.networks.resnet import conv3x3


class PlainLayer(nn.Module):
    """BatchNorm, ReLU, 3x3 convolution; its maps join those that it read."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inputs), conv3x3(inputs, growth)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps, self.conv(F.relu(self.bn(maps)))], dim=1)


class BottleneckLayer(nn.Module):
    """A 1x1 convolution to four times `growth` channels first."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), conv3x3(4 * growth, growth)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.bn1(maps)))
        return torch.cat([maps, self.conv2(F.relu(self.bn2(inner)))], dim=1)


def transition(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.AvgPool2d(2)]


Layer = type[PlainLayer] | type[BottleneckLayer]


def densenet(
    classes: int,
    *,
    depth: int,
    growth: int,
    stem: int,
    layer: Layer = BottleneckLayer,
    compression: int = 2,
    fan: Literal["fan_in", "fan_out"] = "fan_in",
) -> Network:
    """`depth` layers in each of three blocks; a transition belongs to the block before it, the last BatchNorm and ReLU to the pooling.

    So branches that start before the third block have their own, and branches that start behind it share one, as in OKDDip's code.
    With "fan_in" the classifier's bias starts at 0 (OKDDip's code), with "fan_out" as PyTorch has it (pytorch-classification, ONE).
    """
    width = stem
    stages: list[nn.Module] = [conv3x3(3, width)]
    for number in range(3):
        layers: list[nn.Module] = [layer(width + index * growth, growth) for index in range(depth)]
        width += depth * growth
        if number < 2:
            layers += transition(width, width // compression)
            width //= compression
        stages.append(nn.Sequential(*layers))
    classifier = nn.Linear(width, classes)
    network = Network(stages, nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), GlobalAverage()), classifier)
    kaiming(network, fan=fan)
    if fan == "fan_in":
        nn.init.zeros_(classifier.bias)
    return network


DENSENETS = {
    "densenet-100-12-bc": partial(densenet, depth=16, growth=12, stem=24, fan="fan_out"),
    "densenet-190-40-bc": partial(densenet, depth=31, growth=40, stem=80, fan="fan_out"),
    "densenet-40-12": partial(densenet, depth=12, growth=12, stem=16, layer=PlainLayer, compression=1),
    "densenet-40-12-bc": partial(densenet, depth=6, growth=12, stem=24),
    "densenet-tiny": partial(densenet, depth=2, growth=6, stem=12),
}
