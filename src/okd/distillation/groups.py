"""Who learns together: separate networks, or branches on a shared trunk."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from okd.distillation.types import Outputs
from okd.networks.network import Network

Fork = Sequence[tuple[int, int]]  # (where to split, number of children), from the stem towards the classifiers
TrunkGradient = Literal["sum", "mean"]
Answers = list[tuple[Tensor, Tensor]]  # logits and features of one student, or of all that grow on one branch
Together = Callable[[Sequence[Tensor], Sequence[Callable[[Tensor], Answers]]], list[Answers]]


def in_turn(inputs: Sequence[Tensor], students: Sequence[Callable[[Tensor], Answers]]) -> list[Answers]:
    """Each student's answers to its own input, one after the other."""
    return [student(maps) for student, maps in zip(students, inputs, strict=True)]


class Group(nn.Module):
    """M students that answer to one batch; `together` computes what does not depend on each other."""

    size: int
    together: Together = staticmethod(in_turn)

    def forward(self, images: Tensor) -> Outputs:
        """Images (V, B, C, H, W); V is 1, or M for a network-based group whose students have their own views."""
        raise NotImplementedError

    def student(self, m: int) -> Network:
        """Student m as an ordinary network that can be deployed alone; it shares its parameters with the group."""
        raise NotImplementedError

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """The trunk's parameters (if there is one), then each student's own."""
        raise NotImplementedError


class NetworkBased(Group):
    """Separate networks, of any mix of architectures."""

    def __init__(self, networks: Iterable[Network], *, at: int = -1) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.size, self.at = len(self.networks), at

    def forward(self, images: Tensor) -> Outputs:
        views = images.expand(self.size, *images.shape[1:])
        shared: list[Tensor] = []

        def first(view: Tensor) -> Answers:
            network = self.student(0)
            shared.append(network.stages[: self.at](view))
            return [network.classify(network.stages[self.at :](shared[0]))]

        others = [partial(_only, self.student(m)) for m in range(1, self.size)]
        answers = self.together([views[m] for m in range(self.size)], [first, *others])
        return _outputs([answer for [answer] in answers], shared[0])

    def student(self, m: int) -> Network:
        network = self.networks[m]
        assert isinstance(network, Network)
        return network

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        return [list(network.parameters()) for network in self.networks]


class BranchBased(Group):
    """One trunk and M branches, or a tree: at every fork the gradients of the children are summed, or averaged.

    Built from M networks of one architecture, each initialised by itself; the first one of a fork gives the trunk, all give branches.
    `at` says where they part, unless `fork` describes a tree.
    """

    def __init__(
        self, networks: Sequence[Network], *, at: int = -1, fork: Fork | None = None, trunk_gradient: TrunkGradient = "sum"
    ) -> None:
        super().__init__()
        self.size = len(networks)
        self.tree = _Fork(networks, fork or ((at, self.size),), trunk_gradient)

    def forward(self, images: Tensor) -> Outputs:
        assert len(images) == 1, "branches share the trunk and with it the view"
        maps = self.tree.trunk(images[0])
        return _outputs(self.tree.answers(maps, self.together), maps)

    def student(self, m: int) -> Network:
        return self.tree.students()[m]

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        leaves = [list(leaf.parameters()) for leaf in self.tree.leaves()]
        own = {id(parameter) for leaf in leaves for parameter in leaf}
        return [[parameter for parameter in self.parameters() if id(parameter) not in own], *leaves]


class _Fork(nn.Module):
    """A trunk and what grows on it: branches, or further forks."""

    def __init__(self, networks: Sequence[Network], fork: Fork, trunk_gradient: TrunkGradient) -> None:
        super().__init__()
        (at, children), *rest = fork
        if children < 1 or len(networks) % children:
            raise ValueError(f"{len(networks)} students cannot be spread over {children} children")
        splits = [network.split(at) for network in networks]
        self.trunk = splits[0][0]
        self.scale = 1.0 if trunk_gradient == "sum" else 1.0 / children
        branches, share = [branch for _, branch in splits], len(networks) // children
        parts = [branches[start : start + share] for start in range(0, len(branches), share)]
        if not rest and share > 1:
            raise ValueError(f"the last fork leaves {share} students on one branch")
        self.children_ = nn.ModuleList(_Fork(part, rest, trunk_gradient) if rest else part[0] for part in parts)

    def answers(self, maps: Tensor, together: Together = in_turn) -> Answers:
        """Logits and features of every student behind the trunk's maps, in order."""
        maps = scale_gradient(maps, self.scale) if self.scale != 1.0 else maps
        students = [partial(_behind, child) if isinstance(child, _Fork) else partial(_only, child) for child in self.children_]
        return [answer for answers in together([maps] * len(students), students) for answer in answers]

    def students(self) -> list[Network]:
        found: list[Network] = []
        for child in self.children_:
            behind = child.students() if isinstance(child, _Fork) else [child]
            found += [network.behind(self.trunk) for network in behind if isinstance(network, Network)]
        return found

    def leaves(self) -> list[nn.Module]:
        return [leaf for child in self.children_ for leaf in (child.leaves() if isinstance(child, _Fork) else [child])]


def _only(network: Network | nn.Module, maps: Tensor) -> Answers:
    return [network(maps)]


def _behind(fork: _Fork, maps: Tensor) -> Answers:
    return fork.answers(fork.trunk(maps))


def _outputs(answers: Answers, shared: Tensor) -> Outputs:
    return Outputs(torch.stack([logits for logits, _ in answers]), [features for _, features in answers], shared)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None


def scale_gradient(values: Tensor, scale: float) -> Tensor:
    """The same values; the gradient that flows back through them is multiplied by `scale`."""
    return _ScaleGradient.apply(values, scale)  # type: ignore[no-any-return]
