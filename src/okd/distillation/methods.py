"""Every method as a row: who learns, from whom, with which weights over time, on which views.

A function per method turns the options that the catalog lists (and only there have defaults) into a Method; all of them are also told
the number of students and of epochs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from okd.distillation.groups import BranchBased, Group, NetworkBased
from okd.distillation.losses import Divergence, distillation, naive_distillation
from okd.distillation.schedules import ByPhase, Constant, Phases, RampUp, Schedule
from okd.distillation.teachers.attention import attention as peer_attention
from okd.distillation.teachers.collaborative import Combine, combined, general, linear, min_logit, naive
from okd.distillation.teachers.gate import gate as gated
from okd.distillation.teachers.memory import Shares, by_accuracy, equally, memory
from okd.distillation.teachers.peers import peers
from okd.distillation.teachers.pretrained import pretrained
from okd.distillation.teachers.teacher import Setting, Teacher, silent
from okd.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class Method:
    group: Callable[[Sequence[Network]], Group] = NetworkBased
    teacher: Callable[[Setting], Teacher] = silent
    hard: Schedule = Constant(1.0)
    soft: Schedule = Constant(0.0)
    divergence: Divergence = distillation
    views: Literal["shared", "own"] = "shared"
    leader: bool = False  # the last student is deployed, and teaches nobody
    held_out: int = 0  # training images kept back for the teacher
    keep: Literal["last", "each_cycle"] = "last"  # a snapshot, too, where each cycle of the learning rate ends


STARTS = {"stage": -1, "head": 0}  # where branches start


def group_of(setting: str, branches: str) -> Callable[[Sequence[Network]], Group]:
    return partial(BranchBased, at=STARTS[branches]) if setting == "branch" else NetworkBased


def baseline(*, students: int, epochs: int) -> Method:
    return Method()


def snapshot(*, students: int, epochs: int) -> Method:
    return Method(keep="each_cycle")


def ind(*, students: int, epochs: int, branches: str) -> Method:
    return Method(group=group_of("branch", branches))


def kd(*, students: int, epochs: int, temperature: float, alpha: float, weights: str) -> Method:
    hard = {"convex": 1 - alpha, "added": 1.0}[weights]
    return Method(teacher=pretrained(temperature), hard=Constant(hard), soft=Constant(alpha * temperature**2))


def dml(*, students: int, epochs: int, temperature: float, mixture: Any, target: str) -> Method:
    return Method(teacher=peers(temperature, mix=mixture, detach=target == "detached"), soft=Constant(temperature**2))


def cl_ilr(*, students: int, epochs: int, temperature: float, ramp_up: int, target: str, branches: str) -> Method:
    return collaborative(temperature, ramp_up, target, at=STARTS[branches])


def clnn(*, students: int, epochs: int, temperature: float, ramp_up: int, target: str) -> Method:
    return collaborative(temperature, ramp_up, target, fork=((-2, 2), (-1, 2)))


def collaborative(temperature: float, ramp_up: int, target: str, **place: Any) -> Method:
    """Branches, or a tree of them, that teach each other by the mean of the others' logits."""
    return Method(
        group=partial(BranchBased, trunk_gradient="mean", **place),
        teacher=peers(temperature, mix="logits", detach=target == "detached"),
        soft=RampUp(ramp_up, temperature**2),
    )


def one(
    *,
    students: int,
    epochs: int,
    setting: str,
    temperature: float,
    ramp_up: int,
    target: str,
    gate: Any,
    weight: float,
    branches: str,
) -> Method:
    return Method(
        group=group_of(setting, branches),
        teacher=gated(temperature, kind=gate, detach=target == "detached"),
        soft=RampUp(ramp_up, weight * temperature**2),
    )


def okddip(
    *,
    students: int,
    epochs: int,
    setting: str,
    temperature: float,
    ramp_up: int,
    mixture: Any,
    attention: Any,
    first_level: Any,
    levels: int,
    target: Any,
    branches: str,
) -> Method:
    leader = levels == 2
    return Method(
        group=group_of(setting, branches),
        teacher=peer_attention(temperature, mix=mixture, weights=attention, first_level=first_level, leader=leader, target=target),
        soft=RampUp(ramp_up, temperature**2),
        leader=leader,
    )


def kdcl(combine: Combine, *, students: int, epochs: int, temperature: float, weight: float, views: Any) -> Method:
    return Method(teacher=combined(temperature, combine), soft=Constant(weight * temperature**2), views=views)


def kdcl_general(*, students: int, epochs: int, temperature: float, weight: float, views: Any, held_out: int) -> Method:
    return Method(teacher=general(temperature), soft=Constant(weight * temperature**2), views=views, held_out=held_out)


def md(
    *,
    students: int,
    epochs: int,
    temperature: float,
    t_in: int,
    t_d: int,
    t_squared: str,
    kl: str,
    shares: Shares = by_accuracy,
    soft: float = 1.0,
    growth: float = 1.0,
) -> Method:
    phases = Phases(t_in, t_d, epochs)
    scale = {"without": 1.0, "with": temperature**2}[t_squared]
    return Method(
        teacher=memory(temperature, phases=phases, shares=shares),
        hard=ByPhase(phases, alone=1.0, first=1.0, growth=-growth),
        soft=ByPhase(phases, alone=0.0, first=soft * scale, growth=growth * scale),
        divergence={"stable": distillation, "naive": naive_distillation}[kl],
    )


METHODS: Mapping[str, Callable[..., Method]] = {
    "baseline": baseline,
    "snapshot": snapshot,
    "ind": ind,
    "kd": kd,
    "dml": dml,
    "cl-ilr": cl_ilr,
    "clnn": clnn,
    "one": one,
    "okddip": okddip,
    "kdcl-naive": partial(kdcl, naive),
    "kdcl-linear": partial(kdcl, linear),
    "kdcl-minlogit": partial(kdcl, min_logit),
    "kdcl-general": kdcl_general,
    "ec-dnn": partial(md, shares=equally, growth=0.0),
    "md": md,
    "md-fixed": partial(md, soft=2.0, growth=0.0),
}


def method(name: str, options: Mapping[str, Any], *, epochs: int) -> Method:
    """The method that a run names, with the run's resolved options; `epochs` is the length of its training."""
    return METHODS[name](**options, epochs=epochs)
