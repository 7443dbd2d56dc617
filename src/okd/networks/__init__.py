"""Who can learn: every network of the papers, by the catalog's name."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from okd.networks.alexnet import ALEXNETS
from okd.networks.densenet import DENSENETS
from okd.networks.imagenet import IMAGENET_RESNETS
from okd.networks.mobilenet import MOBILENETS
from okd.networks.network import Network
from okd.networks.resnet import RESNETS
from okd.networks.resnext import RESNEXTS
from okd.networks.squeezenet import SQUEEZENETS
from okd.networks.vgg import VGGS
from okd.networks.wide_resnet import WIDE_RESNETS

# name -> builder(classes), for a network that the catalog says has dropout also builder(classes, dropout=p)
NETWORKS: Mapping[str, Callable[..., Network]] = {
    **RESNETS,
    **WIDE_RESNETS,
    **VGGS,
    **DENSENETS,
    **RESNEXTS,
    **ALEXNETS,
    **IMAGENET_RESNETS,
    **MOBILENETS,
    **SQUEEZENETS,
}


def build(name: str, classes: int, *, seed: int, initialisation: str = "code", dropout: float = 0.0) -> Network:
    """Build a network, initialised from `seed` alone; the caller's random state is untouched.

    `initialisation` is "code" (as the papers' codes have it) or "default" (PyTorch's).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[name](classes, **({"dropout": dropout} if dropout else {}))
        if initialisation == "default":
            network.apply(reset)
    return network


def reset(module: nn.Module) -> None:
    """PyTorch's own initialisation, for the modules that have one."""
    if callable(method := getattr(module, "reset_parameters", None)):
        method()
