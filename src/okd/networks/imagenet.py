"""ResNets for ImageNet: torchvision's, with its initialisation, cut into stages.

torchvision is imported by the builders only: it costs seconds that runs on CIFAR need not pay.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from okd.networks.network import GlobalAverage, Network

if TYPE_CHECKING:
    from torchvision.models import ResNet


def staged(model: ResNet) -> Network:
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    return Network([stem, model.layer1, model.layer2, model.layer3, model.layer4], GlobalAverage(), model.fc)


def imagenet_resnet(classes: int, *, name: str) -> Network:
    from torchvision import models

    return staged(getattr(models, name)(num_classes=classes))


def se_resnet18(classes: int, *, reduction: int = 16) -> Network:
    """ResNet-18 whose blocks reweight their channels before the sum [Hu, Shen, Sun, CVPR 2018]; both layers of a gate have biases."""
    from torchvision.models import resnet18
    from torchvision.models.resnet import BasicBlock
    from torchvision.ops import SqueezeExcitation

    model = resnet18(num_classes=classes)
    for block in model.modules():
        if isinstance(block, BasicBlock):
            channels = block.conv2.out_channels
            block.bn2 = nn.Sequential(block.bn2, SqueezeExcitation(channels, channels // reduction))
    return staged(model)


IMAGENET_RESNETS = {
    "resnet18": partial(imagenet_resnet, name="resnet18"),
    "resnet34": partial(imagenet_resnet, name="resnet34"),
    "resnet50": partial(imagenet_resnet, name="resnet50"),
    "resnext50": partial(imagenet_resnet, name="resnext50_32x4d"),
    "se-resnet18": se_resnet18,
}
