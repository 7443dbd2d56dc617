"""Numbers that change with the epoch (0-based): weights of the losses and the learning rate; phases of training."""

from bisect import bisect
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
class Phases:
    """Cycles of `t_in` independent epochs, then `t_d` epochs of distillation [Gao et al., Entropy 2019].

    A last cycle that does not fit into the training is dropped: its epochs stay independent.
    """

    t_in: int
    t_d: int
    epochs: int  # of the whole training

    def distilled(self, epoch: int) -> int | None:
        """Epochs of distillation that this cycle has had before this one (r, from 0); None in an independent epoch."""
        length = self.t_in + self.t_d
        cycle, place = divmod(epoch, length)
        fits = (cycle + 1) * length <= self.epochs
        return place - self.t_in if fits and place >= self.t_in else None


@dataclass(frozen=True)
class ByPhase:
    """One value while students learn alone; during distillation first + growth * r / T_d."""

    phases: Phases
    alone: float
    first: float
    growth: float = 0.0

    def __call__(self, epoch: int) -> float:
        distilled = self.phases.distilled(epoch)
        return self.alone if distilled is None else self.first + self.growth * distilled / self.phases.t_d


@dataclass(frozen=True)
class MultiStep:
    """A rate that is divided by 10 at each milestone."""

    initial: float
    milestones: tuple[int, ...]

    def __call__(self, epoch: int) -> float:
        return self.initial * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the initial rate towards zero, up to each of `ends` [Loshchilov and Hutter, ICLR 2017]."""

    initial: float
    ends: tuple[int, ...]

    def __call__(self, epoch: int) -> float:
        cycle = bisect(self.ends, min(epoch, self.ends[-1] - 1))
        start, end = (0, *self.ends)[cycle], self.ends[cycle]
        return self.initial / 2 * (1 + cos(pi * (epoch - start) / (end - start)))


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
        case {"cosine": initial} | {"cycles": [initial, _]}:
            schedule = Cosine(float(initial), cycle_ends(lr, epochs=epochs))
        case _:
            raise AssertionError(f"no such learning-rate schedule: {lr}")
    return WarmUp(warm_up, schedule) if warm_up else schedule


def cycle_ends(lr: Mapping[str, Any], *, epochs: int) -> tuple[int, ...]:
    """Epochs before which the learning rate starts again, and the number of all: as many as there are cycles, as evenly as can be."""
    match dict(lr):
        case {"cycles": [_, cycles]}:
            return tuple(-(-epochs * cycle // int(cycles)) for cycle in range(1, int(cycles) + 1))
    return (epochs,)
