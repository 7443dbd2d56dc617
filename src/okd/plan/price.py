"""What a plan costs, before anyone pays: counted operations at the rates of rates.py."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from okd.plan.catalog import catalog
from okd.plan.rates import Kind, has_gpu, read_rates
from okd.plan.run import Run
from okd.plan.store import Places

START_S = 8.0  # a process: Python, torch, data
FORWARD_AND_BACKWARD = 3  # times the operations of a forward pass
BYTES_PER_PARAMETER, BYTES_PER_LOGIT = 4, 2


class OverBudget(Exception):
    """The plan costs more than params.yaml allows: exit code 6."""


Count = tuple[int, int]  # fixed, and per class


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """Counted by `okd cost --all`. Stage by stage and then the head, so that branches can be priced without building them."""

    parameters: list[Count]
    flops: list[Count]  # 2 x multiply-adds of one image of `input` pixels a side
    input: int


@dataclass(frozen=True, kw_only=True)
class GroupCost:
    parameters: int  # of everything that is trained
    flops: int  # of one image through the group, 2 x multiply-adds
    deployed_parameters: int  # of one student
    deployed_flops: int


@dataclass(frozen=True, kw_only=True)
class Price:
    hours: float  # device-hours: one run on one GPU, or on one CPU core
    longest_hours: float  # of a run, its teacher's included: no number of devices is faster
    sources: dict[str, int]  # runs by where their rate is from: results, calibration, constant
    disk_bytes: int
    device: Kind

    def wall_hours(self, devices: int) -> float:
        """On so many devices that always have something to do, but for the longest run."""
        return max(self.hours / max(1, devices), self.longest_hours)

    def __str__(self) -> str:
        words = {"results": "by earlier results here", "calibration": "by a calibration", "constant": "by counted operations"}
        parts = [f"{count} {words[source]}" for source, count in self.sources.items() if count]
        return f"{self.hours:,.1f} {self.device}-hours ({' and '.join(parts) or 'nothing to do'}), {self.disk_bytes / 1e9:.2f} GB"


@cache
def network_costs() -> dict[str, NetworkCost]:
    """costs.json, by network."""
    record = json.loads((files("okd") / "costs.json").read_text(encoding="utf-8"))
    return {name: NetworkCost(**row) for name, row in record["networks"].items()}


def group_cost(names: list[str], *, classes: int, size: int, fork: Sequence[Sequence[int]] = ()) -> GroupCost:
    """The cost of separate networks, or of the first one's branches: `fork` says where they part (stage, children), from the stem on.

    The teacher's own parts are not counted.
    """
    parts = [_network(name, classes, size) for name in names]
    deployed_parameters, deployed_flops = sum(parts[0][0]), sum(parts[0][1])
    if fork:
        parameters, flops = (_on_tree(part, fork) for part in parts[0])
    else:
        parameters, flops = (sum(sum(part[index]) for part in parts) for index in (0, 1))
    return GroupCost(parameters=parameters, flops=flops, deployed_parameters=deployed_parameters, deployed_flops=deployed_flops)


def _on_tree(part: list[int], fork: Sequence[Sequence[int]]) -> int:
    """A network's sum, everything behind a fork counted once for each child; the head is the last entry."""
    total, copies, start = 0, 1, 0
    for at, children in fork:
        cut = len(part) - 1 + at
        total, copies, start = total + copies * sum(part[start:cut]), copies * children, cut
    return total + copies * sum(part[start:])


def _network(name: str, classes: int, size: int) -> tuple[list[int], list[int]]:
    """Parameters and operations, stage by stage and then the head, at an image size."""
    cost = network_costs()[name]
    area = (size / cost.input) ** 2
    parameters, flops = ([fixed + each * classes for fixed, each in counts] for counts in (cost.parameters, cost.flops))
    return parameters, [*(round(count * area) for count in flops[:-1]), flops[-1]]


def cost_of(run: Run) -> GroupCost:
    size = catalog().datasets[run.dataset.name].size
    fork = catalog().methods[run.method.name].forks(run.method.options)
    return group_cost([network.name for network in run.networks], classes=run.classes, size=size, fork=fork)


def price(root: Path, runs: Iterable[Run], *, device: Kind | None = None) -> Price:
    """The price of the runs that have no result yet, on a kind of device; on the one that is here if not given."""
    runs = [run for run in runs if not Places(root, run).finished()]
    rates = read_rates(root, _operations)
    kind: Kind = device or ("GPU" if has_gpu() else "CPU core")
    seconds: dict[str, float] = {}
    sources, disk = {"results": 0, "calibration": 0, "constant": 0}, 0
    for run in runs:
        rate, source = rates.of(run, kind)
        sources[source] += 1
        seconds[run.id] = START_S + _operations(run, run.recipe.epochs) / rate
        rows = int(run.method.options["students"]) + 1
        disk += (
            cost_of(run).parameters * BYTES_PER_PARAMETER + catalog().datasets[run.dataset.name].test * run.classes * BYTES_PER_LOGIT * rows
        )
    chains = [seconds[run.id] + seconds.get(run.teacher or "", 0.0) for run in runs]
    return Price(
        hours=sum(seconds.values()) / 3600,
        longest_hours=max(chains, default=0.0) / 3600,
        sources=sources,
        disk_bytes=disk,
        device=kind,
    )


def training_operations(run: Run, images: int) -> float:
    """2 x multiply-adds of training on so many images."""
    return cost_of(run).flops * FORWARD_AND_BACKWARD * images


def _operations(run: Run, epochs: int) -> float:
    return training_operations(run, catalog().datasets[run.dataset.name].train * epochs)


def check_budget(root: Path, runs: Iterable[Run], limit: float, *, device: Kind | None = None) -> Price:
    """Raises OverBudget with price, limit and the setting to change; on the kind of device that is here if none is given."""
    total = price(root, runs, device=device)
    if total.hours > limit:
        raise OverBudget(
            f"this plan costs about {total}, and params.yaml allows {limit:g}: raise budget.device_hours there, or choose less "
            "(`okd plan ADDRESS` shows prices)"
        )
    return total
