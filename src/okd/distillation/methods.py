"""Every method as a row: who learns, from whom, with which weights over time, on which views.

A function per method turns the options that the catalog lists (and only there have defaults) into a Method.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from okd.distillation.groups import BranchBased, Group, NetworkBased
from okd.distillation.schedules import Constant, RampUp, Schedule
from okd.distillation.teachers.attention import attention as peer_attention
from okd.distillation.teachers.gate import gate as gated
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
    views: Literal["shared", "own"] = "shared"
    leader: bool = False  # the last student is deployed, and teaches nobody
    held_out: int = 0  # training images kept back for the teacher
    keep: Literal["last", "each_cycle"] = "last"


GROUPS: Mapping[str, Callable[[Sequence[Network]], Group]] = {"branch": BranchBased, "network": NetworkBased}


def baseline(*, students: int) -> Method:
    return Method()


def ind(*, students: int) -> Method:
    return Method(group=BranchBased)


def kd(*, students: int, temperature: float, alpha: float, weights: str) -> Method:
    hard = {"convex": 1 - alpha, "added": 1.0}[weights]
    return Method(teacher=pretrained(temperature), hard=Constant(hard), soft=Constant(alpha * temperature**2))


def dml(*, students: int, temperature: float, mixture: Any, target: str) -> Method:
    return Method(teacher=peers(temperature, mix=mixture, detach=target == "detached"), soft=Constant(temperature**2))


def cl_ilr(*, students: int, temperature: float, ramp_up: int, target: str) -> Method:
    return Method(
        group=partial(BranchBased, trunk_gradient="mean"),
        teacher=peers(temperature, mix="logits", detach=target == "detached"),
        soft=RampUp(ramp_up, temperature**2),
    )


def one(*, students: int, setting: str, temperature: float, ramp_up: int, target: str, gate: Any, weight: float) -> Method:
    return Method(
        group=GROUPS[setting],
        teacher=gated(temperature, kind=gate, detach=target == "detached"),
        soft=RampUp(ramp_up, weight * temperature**2),
    )


def okddip(
    *, students: int, setting: str, temperature: float, ramp_up: int, mixture: Any, attention: Any, first_level: Any, levels: int, target: Any
) -> Method:
    leader = levels == 2
    return Method(
        group=GROUPS[setting],
        teacher=peer_attention(temperature, mix=mixture, weights=attention, first_level=first_level, leader=leader, target=target),
        soft=RampUp(ramp_up, temperature**2),
        leader=leader,
    )


METHODS: Mapping[str, Callable[..., Method]] = {
    "baseline": baseline,
    "ind": ind,
    "kd": kd,
    "dml": dml,
    "cl-ilr": cl_ilr,
    "one": one,
    "okddip": okddip,
}


def method(name: str, options: Mapping[str, Any]) -> Method:
    """The method that a run names, with the run's resolved options."""
    return METHODS[name](**options)
