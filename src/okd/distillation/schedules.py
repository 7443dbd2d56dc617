"""Numbers that change with the epoch (0-based): weights of the losses and the learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, exp, pi
from typing import Any, Protocol


class Schedule(Protocol):
    def __call__(self, epoch: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    value: float

    def __call__(self, epoch: int) -> float:
        return self.value


@dataclass(frozen=True)
class RampUp:
    """scale * exp(-5 (1 - e / n)^2) for e < n, then scale [Laine and Aila, ICLR 2017; the codes of ONE and OKDDip]."""

    epochs: int  # n; 0: no ramp
    scale: float = 1.0

    def __call__(self, epoch: int) -> float:
        if epoch >= self.epochs:
            return self.scale
        return self.scale * exp(-5 * (1 - epoch / self.epochs) ** 2)


@dataclass(frozen=True)
class MultiStep:
    """A rate that is divided by 10 at each milestone."""

    initial: float
    milestones: tuple[int, ...]

    def __call__(self, epoch: int) -> float:
        return self.initial * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the initial rate towards zero, once per cycle [Loshchilov and Hutter, ICLR 2017]."""

    initial: float
    epochs: int
    cycles: int = 1

    def __call__(self, epoch: int) -> float:
        length = -(-self.epochs // self.cycles)
        return self.initial / 2 * (1 + cos(pi * (epoch % length) / length))


@dataclass(frozen=True)
class WarmUp:
    """Linear growth over the first epochs, then another schedule."""

    epochs: int
    after: Schedule

    def __call__(self, epoch: int) -> float:
        return self.after(epoch) * min(1.0, (epoch + 1) / self.epochs)


def learning_rate(lr: Mapping[str, Any], *, epochs: int, warm_up: int = 0) -> Schedule:
    """The schedule that a recipe's `lr` names."""
    match dict(lr):
        case {"multistep": [initial, *milestones]}:
            schedule: Schedule = MultiStep(float(initial), tuple(milestones))
        case {"cosine": initial}:
            schedule = Cosine(float(initial), epochs)
        case {"cycles": [initial, cycles]}:
            schedule = Cosine(float(initial), epochs, int(cycles))
        case _:
            raise AssertionError(f"no such learning-rate schedule: {lr}")
    return WarmUp(warm_up, schedule) if warm_up else schedule
