"""How the papers' codes initialise their networks."""

from typing import Literal

from torch import nn


def kaiming(network: nn.Module, *, fan: Literal["fan_in", "fan_out"] = "fan_out", linear_std: float | None = None) -> None:
    """Convolutions Kaiming-normal for ReLU, BatchNorm 1 and 0; linear layers N(0, linear_std) with zero bias, or PyTorch's default."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, std=linear_std)
            nn.init.zeros_(module.bias)
