"""MobileNetV2 [Sandler, Howard, Zhu, Zhmoginov, Chen, CVPR 2018]: torchvision's, with its initialisation and dropout, cut into stages.

The small sibling is our own, so that the demo need not import torchvision.
"""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from okd.networks.initialisation import kaiming
from okd.networks.network import GlobalAverage, Network

BORDERS = (0, 2, 4, 7, 14, 19)  # in torchvision's list of blocks: every stage but the first begins by halving the maps


def mobilenetv2(classes: int, *, width: float) -> Network:
    from torchvision.models import mobilenet_v2

    model = mobilenet_v2(num_classes=classes, width_mult=width)
    return Network([model.features[begin:end] for begin, end in pairwise(BORDERS)], GlobalAverage(), model.classifier)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU6()]


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 one, a 1x1 one that narrows and is not activated."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        inner = inputs * expansion
        wide = [*convolution(inputs, inner, 1), *convolution(inner, inner, 3, stride, groups=inner)]
        self.inner = nn.Sequential(*wide, nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.inner(maps) if self.residual else self.inner(maps)


def mobilenet_tiny(classes: int) -> Network:
    stages = [
        nn.Sequential(*convolution(3, 16, 3, 2)),
        nn.Sequential(InvertedResidual(16, 24, 1), InvertedResidual(24, 24, 1)),
        nn.Sequential(InvertedResidual(24, 32, 2), InvertedResidual(32, 32, 1)),
        nn.Sequential(InvertedResidual(32, 48, 2), *convolution(48, 128, 1)),
    ]
    network = Network(stages, GlobalAverage(), nn.Sequential(nn.Dropout(0.2), nn.Linear(128, classes)))
    kaiming(network, linear_std=0.01)
    return network


MOBILENETS = {
    "mobilenet-tiny": mobilenet_tiny,
    "mobilenetv2-x0.5": partial(mobilenetv2, width=0.5),
    "mobilenetv2-x1": partial(mobilenetv2, width=1.0),
    "mobilenetv2-x1.2": partial(mobilenetv2, width=1.2),
}
