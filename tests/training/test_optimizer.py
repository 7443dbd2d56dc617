"""Our SGD is torch's, bit for bit; parts have their own rate and weight decay."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from okd.training.optimizer import SGD, Part

SETTINGS = [(0.0, False, 0.0), (0.0, False, 5e-4), (0.9, False, 0.0), (0.9, False, 1e-4), (0.9, True, 5e-4)]


def parameters(seed: int = 0) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((4, 3, 3, 3), (4,), (5, 4), (1,))]


def gradients(steps: int) -> Iterator[list[Tensor | None]]:
    """Parameter 1 has no gradient at first, parameter 2 not in every step, parameter 3 never (a branch that nothing reaches)."""
    draw = torch.Generator().manual_seed(1)
    for step in range(steps):
        drawn = [torch.randn(parameter.shape, generator=draw) for parameter in parameters()]
        yield [drawn[0], drawn[1] if step > 1 else None, drawn[2] if step % 3 else None, None]


@pytest.mark.parametrize(("momentum", "nesterov", "weight_decay"), SETTINGS)
def test_steps_are_those_of_torch(momentum: float, nesterov: bool, weight_decay: float) -> None:
    ours, theirs = parameters(), parameters()
    mine = SGD([Part(ours, [None] * len(ours), weight_decay, None)], momentum=momentum, nesterov=nesterov)
    torchs = torch.optim.SGD(theirs, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    for step, given in enumerate(gradients(8)):
        rate = 0.1 * 0.1 ** (step // 4)
        mine.set_rate(rate, initial=0.1)
        torchs.param_groups[0]["lr"] = rate
        mine.zero_grad()
        torchs.zero_grad()
        for first, second, gradient in zip(ours, theirs, given, strict=True):
            first.grad = None if gradient is None else gradient.clone()
            second.grad = None if gradient is None else gradient.clone()
        mine.step()
        torchs.step()
        assert all(torch.equal(first, second) for first, second in zip(ours, theirs, strict=True)), step
    assert torch.equal(ours[3], parameters()[3]), "without a gradient nothing moves, not even by weight decay"


def test_a_part_with_a_rate_of_its_own_follows_the_same_shape() -> None:
    parts = [Part(parameters(), [None] * 4, 5e-4, initial) for initial in (None, 0.01)]
    optimizer = SGD(parts, momentum=0.9, nesterov=True)
    optimizer.set_rate(0.001, initial=0.1)
    assert [part.rate for part in parts] == pytest.approx([0.001, 0.0001])


def test_restored_momenta_go_on_as_before() -> None:
    def stepped(optimizer: SGD, own: list[nn.Parameter], given: list[Tensor | None]) -> None:
        for parameter, gradient in zip(own, given, strict=True):
            parameter.grad = gradient
        optimizer.step()

    steps = list(gradients(6))
    whole, half = parameters(), parameters()
    first = SGD([Part(whole, [None] * 4, 5e-4, None, rate=0.1)], momentum=0.9, nesterov=True)
    for given in steps[:3]:
        stepped(first, whole, given)
    second = SGD([Part(half, [None] * 4, 5e-4, None, rate=0.1)], momentum=0.9, nesterov=True)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        for parameter, value in zip(half, whole, strict=True):
            parameter.copy_(value)
    second.parts[0].momenta = [None if buffer is None else buffer.clone() for buffer in second.parts[0].momenta]
    for given in steps[3:]:
        stepped(first, whole, given)
        stepped(second, half, given)
    assert all(torch.equal(a, b) for a, b in zip(whole, half, strict=True))
