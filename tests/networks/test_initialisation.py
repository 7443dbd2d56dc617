"""Networks start as the codes they are named after start them."""

import math

import pytest
from torch import nn

from okd.networks import build

CODES = {  # N(0, sqrt(2 / (k^2 n))): n is the number of output channels in pytorch-classification, of input channels in OKDDip's DenseNet
    "densenet-100-12-bc": ("out", False),
    "densenet-40-12-bc": ("in", True),
    "resnet110-bottleneck": ("out", False),
    "resnet164": ("out", False),
}


@pytest.mark.parametrize("name", CODES)
def test_convolutions_and_the_classifiers_bias(name: str) -> None:
    fan, zero_bias = CODES[name]
    network = build(name, 100, seed=0)
    ratios = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() >= 2000:
            number = module.out_channels if fan == "out" else module.in_channels
            ratios.append(float(module.weight.detach().std()) / math.sqrt(2 / (math.prod(module.kernel_size) * number)))
    assert len(ratios) > 5
    assert min(ratios) > 0.9
    assert max(ratios) < 1.1
    assert isinstance(network.classifier, nn.Linear)
    assert bool((network.classifier.bias == 0).all()) == zero_bias
