"""AlexNet for CIFAR [Krizhevsky, arXiv 1404.5997], as pytorch-classification has it.

Five convolutions, one linear layer, no BatchNorm, no dropout, PyTorch's own initialisation. The small sibling has BatchNorm, without
which it learns next to nothing in a demo's few epochs.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from okd.networks.network import GlobalAverage, Network

Norm = Callable[[int], nn.Module]


def convolution(inputs: int, outputs: int, kernel: int, stride: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2), norm(outputs), nn.ReLU())


def alexnet(classes: int, *, channels: tuple[int, int, int, int, int], kernel: int, stride: int, norm: Norm = nn.Identity) -> Network:
    """`kernel` and `stride` are the first convolution's; every convolution is a stage, with the max-pooling that follows it."""
    first, second, third, fourth, fifth = channels
    stages = [
        convolution(3, first, kernel, stride, norm).append(nn.MaxPool2d(2)),
        convolution(first, second, 5, 1, norm).append(nn.MaxPool2d(2)),
        convolution(second, third, 3, 1, norm),
        convolution(third, fourth, 3, 1, norm),
        convolution(fourth, fifth, 3, 1, norm).append(nn.MaxPool2d(2)),
    ]
    return Network(stages, GlobalAverage(), nn.Linear(fifth, classes))


ALEXNETS = {
    "alexnet": partial(alexnet, channels=(64, 192, 384, 256, 256), kernel=11, stride=4),
    "alexnet-tiny": partial(alexnet, channels=(16, 32, 64, 48, 48), kernel=5, stride=2, norm=nn.BatchNorm2d),
}
