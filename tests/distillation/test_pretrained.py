"""KD: a trained network teaches, and stays as it was."""

import formulas
import pytest
import torch
from cases import TOLERANCE, error, float64, row, targets_of, terms_of

from okd.data.batch import Batch
from okd.distillation.groups import NetworkBased
from okd.distillation.methods import Method
from okd.distillation.teachers.pretrained import Pretrained
from okd.distillation.teachers.teacher import Setting
from okd.networks import build
from okd.networks.network import Network
from okd.training.optimizer import SGD, Part

CLASSES = 5


def batch(views: int = 1) -> Batch:
    draw = torch.Generator().manual_seed(0)
    return Batch(torch.randn(views, 6, 3, 8, 8, generator=draw), torch.arange(6) % CLASSES, torch.arange(6))


def outspoken(seed: int) -> Network:
    """Without training all answers are nearly the same, and their divergence is little but rounding."""
    network = build("resnet8", CLASSES, seed=seed)
    with torch.no_grad():
        network.classifier.get_parameter("weight").mul_(10)
    return network


def taught(method: Method, network: Network | None) -> Pretrained:
    setting = Setting(size=1, width=64, trunk_channels=32, num_samples=6, num_classes=CLASSES, pretrained=network)
    teacher = method.teacher(setting).train()
    assert isinstance(teacher, Pretrained)
    return teacher


@pytest.mark.parametrize(
    ("options", "hard", "soft"),
    [({"reading": "paper"}, 0.1, 0.9 * 9), ({"reading": "okddip"}, 1, 9), ({"alpha": 0.5, "temperature": 4.0}, 0.5, 8)],
)
def test_kd_is_its_equation(options, hard: float, soft: float) -> None:
    """(1 - a) CE + a T^2 KL(softmax(v / T) || softmax(z / T)); OKDDip's code: CE + T^2 KL."""
    method, network = row("kd", **options), outspoken(1)
    group, teacher = NetworkBased([outspoken(0)]), taught(method, network)
    outputs = group(batch().images)
    with torch.no_grad():
        targets = formulas.softmax(float64(network.eval()(batch().images[0])[0]), teacher.temperature)[None]
    assert error(targets_of(teacher(batch(), outputs)), targets) < TOLERANCE
    expected = formulas.objective(float64(outputs.logits), batch().labels.numpy(), targets, teacher.temperature, hard=hard, soft=soft)
    assert error(terms_of(method, teacher, batch(), outputs)[-1], expected) < TOLERANCE


def test_training_leaves_the_teacher_untouched() -> None:
    """Weights and BatchNorm's buffers, though the loop calls train() and steps an optimizer that is offered everything."""
    method, network = row("kd"), build("resnet8", CLASSES, seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    group, teacher = NetworkBased([build("resnet8", CLASSES, seed=0)]), taught(method, network)
    parameters = [*group.parameters(), *(parameter for parameter in teacher.parameters() if parameter.requires_grad)]
    optimizer = SGD([Part(parameters, [None] * len(parameters), 5e-4, None, rate=0.1)], momentum=0.9, nesterov=True)
    for _ in range(3):
        group.train()
        teacher.train()
        optimizer.zero_grad()
        terms_of(method, teacher, batch(), group(batch().images))[-1].backward()
        optimizer.step()
    assert len(parameters) == len(list(group.parameters()))
    assert not any(module.training for module in teacher.network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_teacher_answers_each_view() -> None:
    teacher = taught(row("kd"), build("resnet8", CLASSES, seed=1))
    group = NetworkBased([build("resnet8", CLASSES, seed=seed) for seed in (2, 3)])
    own = batch(views=2)
    targets = targets_of(teacher(own, group(own.images)))
    assert targets.shape == (2, 6, CLASSES)
    assert not torch.equal(targets[0], targets[1])


def test_a_missing_teacher_is_a_persons_mistake() -> None:
    with pytest.raises(ValueError, match="taught by a trained network"):
        taught(row("kd"), None)
