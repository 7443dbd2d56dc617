"""Every network keeps the contract: it splits anywhere, trains, repeats itself in evaluation, and runs channels-last in bf16."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from okd.networks import NETWORKS, build
from okd.networks.network import Network
from okd.plan.catalog import catalog

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnext50": "resnext50_32x4d",
    "mobilenetv2-x1": "mobilenet_v2",
    "squeezenet1.1": "squeezenet1_1",
}
SIBLINGS = {entry.sibling for entry in catalog().networks.values()}


@pytest.fixture(scope="module", params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def network(name: str) -> Network:
    """One network at a time, at its real number of classes: 10, 100 or 1000."""
    return build(name, 10 if name in SIBLINGS else 100 if catalog().networks[name].input == 32 else 1000, seed=0)


@pytest.fixture
def images(name: str) -> Tensor:
    """Two images of the size on which the network is trained; siblings see the demo's."""
    size = 16 if name in SIBLINGS else catalog().networks[name].input
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small(images: Tensor) -> Tensor:
    """One image, where neither batch nor size matters: ImageNet's networks take any size."""
    return images[:1, :, :64, :64]


def test_split_network_is_the_same_function(name: str, network: Network, small: Tensor) -> None:
    network.eval()
    with torch.no_grad():
        logits, features = network(small)
        assert logits.isfinite().all()
        for at in catalog().networks[name].splits:
            trunk, branch = network.split(at)
            for again in (branch(trunk(small)), branch.behind(trunk)(small)):
                assert torch.equal(again[0], logits)
                assert torch.equal(again[1], features)


def test_every_split_leaves_a_trunk(network: Network) -> None:
    depth = len(network.stages)
    for at in range(depth):  # 0: the branch is pooling and classifier
        trunk, branch = network.split(-at)
        assert (len(trunk), len(branch.stages)) == (depth - at, at)
    for at in (1, depth, -depth):
        with pytest.raises(ValueError, match="cannot split"):
            network.split(at)


def test_evaluation_is_deterministic(network: Network, small: Tensor) -> None:
    network.eval()
    with torch.no_grad():
        assert torch.equal(network(small)[0], network(small)[0])


def test_a_step_reaches_every_parameter(network: Network, images: Tensor) -> None:
    network.train().zero_grad()
    loss = F.cross_entropy(network(images)[0], torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_channels_last_in_bf16(network: Network, small: Tensor) -> None:
    network.train().zero_grad()
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = network(small.to(memory_format=torch.channels_last))
    assert logits.dtype == torch.bfloat16
    assert features.isfinite().all()
    logits.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("ours", TORCHVISION)
def test_cut_into_stages_it_is_still_torchvisions(ours: str) -> None:
    from torchvision.models import get_model

    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        theirs = get_model(TORCHVISION[ours], num_classes=10)
        assert torch.equal(build(ours, 10, seed=0).eval()(images)[0], theirs.eval()(images))


@pytest.mark.parametrize("name", [name for name, entry in catalog().networks.items() if entry.dropout])
def test_dropout_is_off_unless_asked_for(name: str) -> None:
    def rates(network: Network) -> list[float]:
        return [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)]

    with torch.device("meta"):
        assert rates(NETWORKS[name](10)) == [0.0, 0.0]
        assert rates(NETWORKS[name](10, dropout=0.5)) == [0.5, 0.5]


def test_the_networks_of_cifar_do_not_wait_for_torchvision() -> None:
    code = "import sys, okd.networks; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
