"""The networks are the papers' networks: section (d) of papers/*.md, to the last parameter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from okd.networks import NETWORKS
from okd.networks.network import Network
from okd.plan.catalog import catalog

PARAMETERS = {  # network: {classes: parameters}
    "resnet32": {10: 466_906, 100: 472_756},
    "resnet32-a": {10: 464_154, 100: 470_004},
    "resnet110": {10: 1_730_714, 100: 1_736_564},
    "resnet110-a": {10: 1_727_962},
    "resnet110-bottleneck": {10: 1_147_738, 100: 1_170_868},
    "resnet164": {10: 1_704_154, 100: 1_727_284},
    "wrn-16-2": {100: 703_284},
    "wrn-20-8": {10: 6_848_090, 100: 6_871_220},
    "vgg16": {10: 15_253_578, 100: 15_299_748},
    "vgg19": {10: 20_565_834, 100: 20_612_004},
    "vgg19-1fc": {10: 20_040_522, 100: 20_086_692},
    "densenet-40-12-bc": {10: 176_122, 100: 188_092},
    "densenet-40-12": {10: 1_019_722, 100: 1_060_132},
    "densenet-100-12-bc": {10: 769_162, 100: 800_032},
    "densenet-190-40-bc": {10: 25_624_430, 100: 25_821_620},
    "resnext29-8x64d": {10: 34_426_698, 100: 34_518_948},
    "alexnet": {10: 2_472_266, 100: 2_495_396},
    "resnet18": {1000: 11_689_512},
    "resnet34": {1000: 21_797_672},
    "resnet50": {1000: 25_557_032},
    "resnext50": {1000: 25_028_904},
    "se-resnet18": {1000: 11_778_592},
    "mobilenetv2-x0.5": {1000: 1_968_680},
    "mobilenetv2-x1": {1000: 3_504_872},
    "mobilenetv2-x1.2": {1000: 4_725_992},
    "squeezenet1.1": {1000: 1_235_496},
}
MILLIONS = {  # network: (classes for which this was printed, multiply-adds in 1e6); the tables give one figure for 10 and 100 classes
    "resnet32": (100, "69.1"),
    "resnet32-a": (100, "68.9"),
    "resnet110": (100, "253.2"),
    "resnet110-bottleneck": (10, "167.4"),
    "resnet164": (100, "247.7"),
    "wrn-16-2": (100, "101.1"),
    "wrn-20-8": (100, "1022.8"),
    "vgg16": (100, "313.8"),
    "vgg19": (100, "398.7"),
    "vgg19-1fc": (100, "398.2"),
    "densenet-40-12-bc": (100, "72.4"),
    "densenet-40-12": (10, "264.8"),
    "densenet-100-12-bc": (100, "288.0"),
    "alexnet": (100, "15.0"),
    "resnet18": (1000, "1814"),
    "resnet34": (1000, "3663.8"),
    "resnet50": (1000, "4089"),
    "mobilenetv2-x0.5": (1000, "97"),
    "mobilenetv2-x1": (1000, "301"),
    "mobilenetv2-x1.2": (1000, "465"),
    "squeezenet1.1": (1000, "349"),
}
ONE_COSTS = {  # network: (classes, floating-point operations as printed, in 1e8)
    "resnet32": (100, "1.383"),
    "resnet32-a": (100, "1.377"),
    "resnet110": (100, "5.063"),
    "resnet110-a": (100, "5.058"),
    "resnet164": (100, "4.953"),
    "resnext29-8x64d": (100, "107.7"),
    "densenet-190-40-bc": (100, "186.0"),
    "resnet18": (1000, "36.3"),
    "resnext50": (1000, "84.6"),
}
WIDTHS = {  # network: channels at split(-1), which a gate reads; features, which attention reads
    "resnet32": (32, 64),
    "resnet110-bottleneck": (128, 256),
    "resnet164": (128, 256),
    "wrn-20-8": (128, 256),
    "vgg16": (512, 512),
    "densenet-40-12-bc": (60, 132),
    "resnet34": (256, 512),
}


def on_meta(name: str, classes: int) -> Network:
    with torch.device("meta"):
        return NETWORKS[name](classes).eval()


def images(name: str) -> torch.Tensor:
    size = 16 if name not in PARAMETERS else catalog().networks[name].input
    return torch.empty(1, 3, size, size, device="meta")


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def operations(name: str, classes: int) -> int:
    """Two per multiply-add of convolutions and linear layers, one image."""
    network, image = on_meta(name, classes), images(name)
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()


def as_printed(value: float, printed: str) -> bool:
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


def test_the_catalog_and_the_code_know_the_same_networks() -> None:
    assert set(NETWORKS) == {name for name, entry in catalog().networks.items() if entry.built}


@pytest.mark.parametrize(("name", "classes"), [(name, classes) for name, counts in PARAMETERS.items() for classes in counts])
def test_parameters(name: str, classes: int) -> None:
    assert parameters(on_meta(name, classes)) == PARAMETERS[name][classes]


@pytest.mark.parametrize("name", MILLIONS)
def test_multiply_adds(name: str) -> None:
    classes, printed = MILLIONS[name]
    assert as_printed(operations(name, classes) / 2e6, printed)


@pytest.mark.parametrize("name", ONE_COSTS)
def test_one_counts_two_operations_per_multiply_add(name: str) -> None:
    classes, printed = ONE_COSTS[name]
    assert as_printed(operations(name, classes) / 1e8, printed)


@pytest.mark.parametrize("name", WIDTHS)
def test_widths(name: str) -> None:
    trunk, branch = on_meta(name, 100).split(-1)
    maps = trunk(images(name))
    assert (maps.shape[1], branch(maps)[1].shape[1]) == WIDTHS[name]


@pytest.mark.parametrize("name", sorted({entry.sibling for entry in catalog().networks.values() if entry.sibling}))
def test_siblings_are_small(name: str) -> None:
    assert parameters(on_meta(name, 10)) <= 130_000
    assert operations(name, 10) <= 2 * 6e6
