"""ResNeXt for CIFAR [Xie, Girshick, Dollar, Tu, He, CVPR 2017, section 5.3], as pytorch-classification has it."""

from functools import partial
from math import sqrt

from torch import nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network
from okd.networks.resnet import conv3x3
from okd.networks.wide_resnet import WideBottleneck


def resnext(classes: int, *, depth: int, cardinality: int, width: int, stem: int) -> Network:
    """`depth` blocks in each of three stages, their 3x3 convolutions in `cardinality` groups of `width` channels in the first stage."""
    inputs, inner, outputs = stem, cardinality * width, 4 * stem
    stages: list[nn.Module] = [nn.Sequential(conv3x3(3, inputs), nn.BatchNorm2d(inputs), nn.ReLU())]
    for number in range(3):
        blocks = []
        for index in range(depth):
            blocks.append(WideBottleneck(inputs, inner, outputs, 2 if number > 0 and index == 0 else 1, cardinality))
            inputs = outputs
        stages.append(nn.Sequential(*blocks))
        inner, outputs = 2 * inner, 2 * outputs
    network = Network(stages, GlobalAverage(), nn.Linear(inputs, classes))
    kaiming(network, linear_std=sqrt(2 / inputs))
    return network


RESNEXTS = {
    "resnext-tiny": partial(resnext, depth=1, cardinality=4, width=4, stem=8),
    "resnext29-8x64d": partial(resnext, depth=3, cardinality=8, width=64, stem=64),
}
