"""Groups: what a student is alone it is in the group; trunks collect gradients as they are told; views find their students."""

import pytest
import torch
from torch import Tensor

from okd.distillation.groups import BranchBased, Fork, Group, NetworkBased, scale_gradient
from okd.networks import build
from okd.networks.network import Network

TREE = ((-2, 2), (-1, 2))


def networks(count: int, name: str = "resnet8") -> list[Network]:
    return [build(name, 5, seed=seed) for seed in range(count)]


def images(views: int = 1, batch: int = 3) -> Tensor:
    return torch.randn(views, batch, 3, 8, 8, generator=torch.Generator().manual_seed(3))


GROUPS = {
    "networks": lambda: NetworkBased(networks(3)),
    "mixed networks": lambda: NetworkBased([*networks(1), *networks(1, "wrn-tiny")]),
    "branches": lambda: BranchBased(networks(4)),
    "branches from the second last stage": lambda: BranchBased(networks(3), fork=((-2, 3),)),
    "tree": lambda: BranchBased(networks(4), fork=TREE, trunk_gradient="mean"),
    "uneven tree": lambda: BranchBased(networks(6), fork=((-2, 3), (-1, 2))),
}


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> Group:
    return GROUPS[request.param]()


def test_a_student_alone_answers_as_in_the_group(group: Group) -> None:
    group.eval()
    with torch.no_grad():
        outputs = group(images())
        for m in range(group.size):
            logits, features = group.student(m).eval()(images()[0])
            assert torch.equal(logits, outputs.logits[m])
            assert torch.equal(features, outputs.features[m])


def test_a_student_can_be_loaded_into_an_ordinary_network() -> None:
    group = BranchBased(networks(4), fork=TREE).eval()
    alone = build("resnet8", 5, seed=99)
    alone.load_state_dict(group.student(2).state_dict())
    with torch.no_grad():
        assert torch.equal(alone.eval()(images()[0])[0], group(images()).logits[2])


def test_every_parameter_stands_in_one_part(group: Group) -> None:
    parts = [id(parameter) for part in group.parameter_groups() for parameter in part]
    assert len(parts) == len(set(parts))
    assert set(parts) == {id(parameter) for parameter in group.parameters()}


def test_branches_share_the_trunk_and_differ_behind_it() -> None:
    group = BranchBased(networks(4), fork=TREE).eval()
    with torch.no_grad():
        logits = group(images()).logits
    assert all(not torch.equal(logits[a], logits[b]) for a in range(4) for b in range(a))
    stages = [[id(stage) for stage in group.student(m).stages] for m in range(4)]
    same = [[stages[0][place] == stages[m][place] for place in range(4)] for m in range(4)]
    assert same == [[True] * 4, [True, True, True, False], [True, True, False, False], [True, True, False, False]]


def gradients(fork: Fork, trunk_gradient, students: int) -> dict[str, Tensor]:
    group = BranchBased(networks(students), fork=fork, trunk_gradient=trunk_gradient).double().eval()
    group(images().double()).logits.square().sum().backward()
    found = {name: parameter.grad for name, parameter in group.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("students", [2, 3, 4])
def test_the_mean_trunk_gets_one_mth_of_the_sum_and_branches_the_same(students: int) -> None:
    """CL-ILR: the gradient that enters the trunk is divided by the number of branches."""
    summed, averaged = (gradients(((-1, students),), kind, students) for kind in ("sum", "mean"))
    assert summed.keys() == averaged.keys()
    for name, gradient in summed.items():
        share = 1 / students if name.startswith("tree.trunk") else 1.0
        torch.testing.assert_close(averaged[name], share * gradient, rtol=1e-12, atol=1e-14)


def test_a_tree_averages_at_every_fork() -> None:
    summed, averaged = (gradients(TREE, kind, 4) for kind in ("sum", "mean"))
    shares = {"tree.trunk": 1 / 4, "tree.children_.0.trunk": 1 / 2, "tree.children_.1.trunk": 1 / 2}
    for name, gradient in summed.items():
        share = next((share for part, share in shares.items() if name.startswith(part)), 1.0)
        torch.testing.assert_close(averaged[name], share * gradient, rtol=1e-12, atol=1e-14)


def test_scaled_gradient_leaves_values() -> None:
    values = torch.randn(3, requires_grad=True)
    scaled = scale_gradient(values, 0.25)
    assert torch.equal(scaled, values)
    scaled.sum().backward()
    assert torch.equal(torch.full((3,), 0.25), values.grad)  # type: ignore[arg-type]


def test_own_views_go_to_their_students() -> None:
    group, own = NetworkBased(networks(3)).eval(), images(views=3)
    with torch.no_grad():
        logits = group(own).logits
        for m in range(3):
            assert torch.equal(logits[m], group(own[m : m + 1]).logits[m])


def test_branches_refuse_views_of_their_own() -> None:
    with pytest.raises(AssertionError, match="share the trunk"):
        BranchBased(networks(2))(images(views=2))


def test_shared_features_are_the_trunks_or_network_zeros() -> None:
    nets = networks(3)
    with torch.no_grad():
        expected = nets[0].eval().stages[:-1](images()[0])
        for group in (NetworkBased(nets), BranchBased(nets)):
            shared = group.eval()(images()).shared
            assert shared is not None
            assert torch.equal(shared, expected)


@pytest.mark.parametrize(("students", "fork"), [(3, TREE), (8, TREE), (4, ((-1, 3),)), (4, ((-1, 2),))])
def test_students_must_fit_the_tree(students: int, fork: Fork) -> None:
    with pytest.raises(ValueError, match="student"):
        BranchBased(networks(students), fork=fork)
