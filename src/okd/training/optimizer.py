"""torch's SGD without the class around it.

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
                None if buffer is None else buffer.to(parameter.device) for buffer, parameter in zip(momenta, part.parameters, strict=True)
            ]


def optimizer_for(group: Group, teacher: Teacher, run: Run, students: range | None = None) -> SGD:
    """SGD with one part for the trunk, each student (of those here) and the teacher; `per_network` overrides rate and weight decay."""
    recipe, names = run.recipe, [network.name for m, network in enumerate(run.networks) if students is None or m in students]
    parts = group.parameter_groups()
    owners = names if len(parts) == len(names) else names[:1] * len(parts)
    own = [recipe.per_network.get(name, {}) for name in owners]
    learned = [parameter for parameter in teacher.parameters() if parameter.requires_grad]
    return SGD(
        [
            Part(parameters, [None] * len(parameters), settings.get("weight_decay", recipe.weight_decay), settings.get("lr"))
            for parameters, settings in zip([*parts, learned], [*own, {}], strict=True)
            if parameters
        ],
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )
