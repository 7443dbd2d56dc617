"""ResNets for CIFAR [He, Zhang, Ren, Sun, CVPR 2016, section 4.2], as the codes of ONE and OKDDip have them.

Three stages of 16, 32 and 64 channels. "ResNet-110" is three networks in the literature: 18-18-18 basic blocks, 12-12-12
bottleneck blocks (OKDDip: 110 layers) and 18-18-18 bottleneck blocks (ONE: 164 layers).
"""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network

CHANNELS = (16, 32, 64)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class PaddedShortcut(nn.Module):
    """Option A: every `stride`-th pixel, new channels filled with zeros; no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, outputs - inputs

    def forward(self, maps: Tensor) -> Tensor:
        half = self.missing // 2
        return F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.missing - half))


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Option B: a 1x1 convolution and BatchNorm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


Shortcut = Callable[[int, int, int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inputs, channels, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv3x3(channels, channels), nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity() if stride == 1 and inputs == channels else shortcut(inputs, channels, stride)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(maps)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(maps))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the last widens four times."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv3x3(channels, channels, stride), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else shortcut(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.shortcut(maps))


def resnet(
    classes: int, *, depth: int, block: type[BasicBlock] | type[Bottleneck] = BasicBlock, shortcut: Shortcut = projection
) -> Network:
    """`depth` blocks in each of three stages; one linear layer on globally averaged maps."""
    inputs = CHANNELS[0]
    stages: list[nn.Module] = [nn.Sequential(conv3x3(3, inputs), nn.BatchNorm2d(inputs), nn.ReLU())]
    for number, channels in enumerate(CHANNELS):
        blocks = []
        for index in range(depth):
            blocks.append(block(inputs, channels, 2 if number > 0 and index == 0 else 1, shortcut))
            inputs = channels * block.expansion
        stages.append(nn.Sequential(*blocks))
    network = Network(stages, GlobalAverage(), nn.Linear(inputs, classes))
    kaiming(network)
    return network


RESNETS = {
    "resnet-bottleneck-tiny": partial(resnet, depth=1, block=Bottleneck),
    "resnet110-bottleneck": partial(resnet, depth=12, block=Bottleneck),
    "resnet164": partial(resnet, depth=18, block=Bottleneck),
    "resnet8": partial(resnet, depth=1),
}
for layers in (20, 32, 56, 110):
    RESNETS[f"resnet{layers}"] = partial(resnet, depth=(layers - 2) // 6)
    RESNETS[f"resnet{layers}-a"] = partial(resnet, depth=(layers - 2) // 6, shortcut=PaddedShortcut)
