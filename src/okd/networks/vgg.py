"""VGG for CIFAR [Simonyan and Zisserman, ICLR 2015] with BatchNorm, as OKDDip's code and pytorch-classification have it.

Five blocks of 3x3 convolutions, each ending with a max-pooling, so that a branch owns the fifth block and what enters it is the
pooled fourth. The codes differ in what follows: OKDDip has three linear layers, pytorch-classification ("-1fc") one.
"""

from functools import partial
from itertools import pairwise
from math import sqrt

from torch import nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network

CHANNELS = (64, 128, 256, 512, 512)


def block(inputs: int, channels: int, depth: int) -> nn.Sequential:
    """`depth` 3x3 convolutions with bias, BatchNorm and ReLU, then 2x2 max-pooling."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        inputs = channels
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def three_linear(width: int, classes: int, dropout: float) -> nn.Sequential:
    hidden = [nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*hidden, nn.Linear(width, classes))


def convolutions(depths: tuple[int, ...], channels: tuple[int, ...]) -> list[nn.Sequential]:
    return [block(inputs, outputs, depth) for (inputs, outputs), depth in zip(pairwise((3, *channels)), depths, strict=True)]


def vgg(classes: int, *, depths: tuple[int, ...], channels: tuple[int, ...] = CHANNELS, dropout: float = 0.0) -> Network:
    """Three linear layers, dropout behind the first two."""
    width = channels[-1]
    network = Network(convolutions(depths, channels), GlobalAverage(), three_linear(width, classes, dropout))
    kaiming(network, linear_std=0.01 * sqrt(512 / width))  # the code has 0.01, for layers 512 wide
    return network


def vgg_one_linear(classes: int, *, depths: tuple[int, ...]) -> Network:
    network = Network(convolutions(depths, CHANNELS), GlobalAverage(), nn.Linear(CHANNELS[-1], classes))
    kaiming(network, linear_std=0.01)
    return network


VGGS = {
    "vgg16": partial(vgg, depths=(2, 2, 3, 3, 3)),
    "vgg16-1fc": partial(vgg_one_linear, depths=(2, 2, 3, 3, 3)),
    "vgg19": partial(vgg, depths=(2, 2, 4, 4, 4)),
    "vgg19-1fc": partial(vgg_one_linear, depths=(2, 2, 4, 4, 4)),
    "vgg-tiny": partial(vgg, depths=(1, 1, 1, 1), channels=(16, 32, 64, 64)),  # a fifth pooling would leave nothing of 16 pixels
}
