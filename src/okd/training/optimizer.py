"""torch's SGD without the class around it, and the same in one kernel for a part, whose rate is a number on the device.

`torch.optim.SGD` imports torch's compiler at its first step, 4 CPU seconds a process, which a campaign of short runs pays hundreds of
times. The arithmetic is torch's own function; here are only the momentum buffers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from okd.distillation.groups import Group
from okd.distillation.teachers.teacher import Teacher
from okd.plan.run import Run


@dataclass
class Part:
    """The parameters of the trunk, of one student or of the teacher; `initial_rate` where a recipe gives its network one of its own."""

    parameters: list[nn.Parameter]
    momenta: list[Tensor | None]
    weight_decay: float
    initial_rate: float | None
    rate: float = 0.0


class SGD:
    """One optimizer for the whole group: every part steps at once, by the same schedule."""

    def __init__(self, parts: Sequence[Part], *, momentum: float, nesterov: bool) -> None:
        self.parts, self.momentum, self.nesterov = list(parts), momentum, nesterov

    def set_rate(self, rate: float, initial: float) -> None:
        """The epoch's learning rate; a part with an initial rate of its own follows the same shape."""
        for part in self.parts:
            part.rate = rate if part.initial_rate is None else rate / initial * part.initial_rate

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for part in self.parts:
            # Without a gradient nothing moves, not even by weight decay: as torch.optim has it.
            places = [place for place, parameter in enumerate(part.parameters) if parameter.grad is not None]
            momenta = [part.momenta[place] for place in places]
            sgd(
                [part.parameters[place] for place in places],
                [gradient for place in places if (gradient := part.parameters[place].grad) is not None],
                momenta,
                foreach=True,
                weight_decay=part.weight_decay,
                momentum=self.momentum,
                lr=part.rate,
                dampening=0.0,
                nesterov=self.nesterov,
                maximize=False,
            )
            for place, buffer in zip(places, momenta, strict=True):
                part.momenta[place] = buffer

    def parameters(self) -> Iterator[nn.Parameter]:
        return (parameter for part in self.parts for parameter in part.parameters)

    def state_dict(self) -> dict[str, Any]:
        return {"momenta": [part.momenta for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, momenta in zip(self.parts, state["momenta"], strict=True):
            part.momenta = [
                None if buffer is None else torch.empty_like(parameter).copy_(buffer)
                for buffer, parameter in zip(momenta, part.parameters, strict=True)
            ]


class FusedSGD(SGD):
    """The same update by torch's fused kernel. Nothing in it is a number of the host, so that a captured graph serves all epochs."""

    def __init__(self, parts: Sequence[Part], *, momentum: float, nesterov: bool) -> None:
        super().__init__(_merged(parts), momentum=momentum, nesterov=nesterov)
        self.rates = [torch.zeros((), device=part.parameters[0].device) for part in self.parts]

    def set_rate(self, rate: float, initial: float) -> None:
        super().set_rate(rate, initial)
        for part, tensor in zip(self.parts, self.rates, strict=True):
            tensor.fill_(part.rate)

    @torch.no_grad()
    def step(self) -> None:
        for part, rate in zip(self.parts, self.rates, strict=True):
            places = [place for place, parameter in enumerate(part.parameters) if parameter.grad is not None]
            for place in places:
                if part.momenta[place] is None:  # zero, decayed and added to, is what torch.optim starts with
                    part.momenta[place] = torch.zeros_like(part.parameters[place])
            torch._fused_sgd_(  # pyright: ignore[reportPrivateImportUsage]
                [part.parameters[place] for place in places],
                [gradient for place in places if (gradient := part.parameters[place].grad) is not None],
                [buffer for place in places if (buffer := part.momenta[place]) is not None],
                weight_decay=part.weight_decay,
                momentum=self.momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self.nesterov,
                maximize=False,
                is_first_step=False,
            )


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Parts of one rate and weight decay become one: fewer kernels."""
    alike: dict[tuple[float, float | None], Part] = {}
    for part in parts:
        whole = alike.setdefault((part.weight_decay, part.initial_rate), Part([], [], part.weight_decay, part.initial_rate))
        whole.parameters += part.parameters
        whole.momenta += part.momenta
    return list(alike.values())


def optimizer_for(group: Group, teacher: Teacher, run: Run, kind: type[SGD] = SGD, students: range | None = None) -> SGD:
    """SGD with one part for the trunk, each student (of those here) and the teacher; `per_network` overrides rate and weight decay."""
    recipe, names = run.recipe, [network.name for m, network in enumerate(run.networks) if students is None or m in students]
    parts = group.parameter_groups()
    owners = names if len(parts) == len(names) else names[:1] * len(parts)
    own = [recipe.per_network.get(name, {}) for name in owners]
    learned = [parameter for parameter in teacher.parameters() if parameter.requires_grad]
    return kind(
        [
            Part(parameters, [None] * len(parameters), settings.get("weight_decay", recipe.weight_decay), settings.get("lr"))
            for parameters, settings in zip([*parts, learned], [*own, {}], strict=True)
            if parameters
        ],
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )
