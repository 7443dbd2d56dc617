"""Counting parameters and operations, with torch's own counter: 2 x multiply-adds of convolutions and linear layers, one image."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from okd.data.batch import Batch
from okd.distillation.methods import method
from okd.distillation.teachers.teacher import Setting
from okd.networks import NETWORKS
from okd.plan.catalog import Value, catalog
from okd.plan.price import NetworkCost


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """What `okd cost` prints."""

    params_deployed: int
    params_training: int
    flops_inference: int
    flops_training_forward: int


def network_cost(name: str) -> NetworkCost:
    """Count a network stage by stage, for 10 and 100 classes: all is linear in them, and SqueezeNet's last stage depends on them too."""
    size = catalog().networks[name].input
    few, many = (_counts(name, classes, size) for classes in (10, 100))
    parameters, flops = ([_line(*pair) for pair in zip(*counts, strict=True)] for counts in zip(few, many, strict=True))
    return NetworkCost(parameters=parameters, flops=flops, input=size)


def _counts(name: str, classes: int, size: int) -> tuple[list[int], list[int]]:
    """Parameters and operations of every stage and of the head."""
    with torch.device("meta"):
        network = NETWORKS[name](classes).eval()
        maps, parameters, flops = torch.zeros(1, 3, size, size), list[int](), list[int]()
        for stage in network.stages:
            parameters.append(num_parameters(stage))
            count, maps = _flops(stage, maps)
            flops.append(count)
        parameters.append(num_parameters(network.pool) + num_parameters(network.classifier))
        flops.append(_flops(network.classify, maps)[0])
    return parameters, flops


def _line(few: int, many: int) -> tuple[int, int]:
    each = (many - few) // 90
    return few - 10 * each, each


def all_costs() -> dict[str, Any]:
    """The content of costs.json."""
    built = (name for name, entry in sorted(catalog().networks.items()) if entry.built)
    return {"networks": {name: asdict(network_cost(name)) for name in built}}


def training_cost(names: list[str], name: str, options: dict[str, Value], *, classes: int, teacher: str | None = None) -> TrainingCost:
    """Count a group and its teacher as they train. `options` are resolved; `names` the students' networks, one for branches."""
    entry = catalog().methods[name]
    row = method(name, options, epochs=1)
    copies = int(options["students"]) if entry.group_kind(options) == "branches" or len(names) == 1 else 1
    size = catalog().networks[names[0]].input
    with torch.device("meta"):
        students = [NETWORKS[network](classes) for network in names * copies]
        taught_by = NETWORKS[teacher](classes).eval() if teacher else None
        group = row.group(students).eval()
        images = torch.zeros(1, 1, 3, size, size)
        outputs = group(images)
        built = row.teacher(
            Setting(
                size=group.size,
                width=outputs.features[0].shape[1],
                trunk_channels=None if outputs.shared is None else outputs.shared.shape[1],
                num_samples=1,
                num_classes=classes,
                pretrained=taught_by,
            )
        ).eval()
        batch = Batch(images, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
        deployed = group.student(group.size - 1 if row.leader else 0)
        inference, _ = _flops(deployed, images[0])
        training, _ = _flops(lambda _: built(batch, group(images)), images)
    return TrainingCost(
        params_deployed=num_parameters(deployed),
        params_training=num_parameters(group) + num_parameters(built),
        flops_inference=inference,
        flops_training_forward=training,
    )


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(compute: Callable[[Tensor], Any], values: Tensor) -> tuple[int, Any]:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        answer = compute(values)
    return counter.get_total_flops(), answer
