"""Every method of the catalog is a row, takes exactly the options that stand there, and costs what the plan says."""

import inspect
from functools import partial

import pytest
import torch
from cases import batch_of, outputs_of, row, teacher_of

from okd.distillation.groups import BranchBased, NetworkBased
from okd.distillation.methods import METHODS, method
from okd.networks import NETWORKS
from okd.plan.catalog import catalog
from okd.plan.price import group_cost
from okd.training.cost import num_parameters

READINGS = [(name, reading) for name, entry in catalog().methods.items() for reading in (None, *entry.readings)]
BUILT_IN = {
    "kdcl": {"combine"},
    "md": {"shares", "soft", "growth"},
}  # what makes one function several rows


def test_the_catalog_and_the_code_know_the_same_methods() -> None:
    assert set(METHODS) == {name for name, entry in catalog().methods.items() if entry.built} == set(catalog().methods)


@pytest.mark.parametrize("name", METHODS)
def test_options_have_their_defaults_in_the_catalog_only(name: str) -> None:
    function = METHODS[name]
    plain = function.func if isinstance(function, partial) else function
    parameters = inspect.signature(plain).parameters
    own = BUILT_IN.get(plain.__name__, set())
    assert set(parameters) - own == {"students", "epochs", *catalog().methods[name].options}
    assert {option for option, parameter in parameters.items() if parameter.default is not inspect.Parameter.empty} <= own


@pytest.mark.parametrize(("name", "reading"), READINGS)
def test_every_reading_is_a_method(name: str, reading: str | None) -> None:
    entry = catalog().methods[name]
    options = entry.resolve({} if reading is None else {"reading": reading})
    for option, value in options.items():
        assert option == "students" or entry.options[option].problem(value) is None
    made = method(name, options, epochs=10)
    kind = {"one": NetworkBased, "networks": NetworkBased, "branches": BranchBased}[entry.group_kind(options)]
    assert getattr(made.group, "func", made.group) is kind
    assert made.leader == entry.has_leader(options)
    assert made.hard(0) > 0


@pytest.mark.parametrize("name", METHODS)
def test_what_a_plan_counts_is_what_is_built(name: str) -> None:
    """Group parameters by network stages against the group itself, on the way also that of trees."""
    entry = catalog().methods[name]
    options = entry.resolve()
    kind, students = entry.group_kind(options), int(options["students"])
    names = ["resnet32"] * (students if kind == "networks" else 1)
    with torch.device("meta"):
        group = row(name).group([NETWORKS["resnet32"](100) for _ in range(students)])
    assert group_cost(names, classes=100, size=32, fork=entry.forks(options)).parameters == num_parameters(group)


@pytest.mark.parametrize(("name", "students", "millions"), [("baseline", 1, "11.690"), ("ind", 3, "29.503"), ("clnn", 4, "40.509")])
def test_kdcls_table_3_counts_heads_of_resnet_18(name: str, students: int, millions: str) -> None:
    with torch.device("meta"):
        group = row(name).group([NETWORKS["resnet18"](1000) for _ in range(students)])
    assert f"{num_parameters(group) / 1e6:.3f}" == millions


def test_collaborative_learning_averages_the_trunks_gradient() -> None:
    for name, kind in (("cl-ilr", "mean"), ("clnn", "mean")):
        assert getattr(row(name).group, "keywords", {})["trunk_gradient"] == kind
    for name in ("ind", "one", "okddip"):
        assert "trunk_gradient" not in getattr(row(name).group, "keywords", {})


def test_only_snapshot_keeps_more_than_the_last_network() -> None:
    assert [name for name in METHODS if row(name).keep == "each_cycle"] == ["snapshot"]
    assert [name for name, entry in catalog().methods.items() if entry.snapshots] == ["snapshot"]


class Guess(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(images), 10), images


@pytest.mark.parametrize("name", METHODS)
def test_the_catalog_knows_whose_teacher_makes_predictions(name: str) -> None:
    entry = catalog().methods[name]
    students = int(entry.resolve()["students"])
    teacher = teacher_of(row(name), students=students, classes=10, pretrained=Guess())
    lesson = teacher(batch_of(8, 10, num_samples=64), outputs_of(students, 8, 10))
    assert (lesson.prediction is not None) == (entry.answers or entry.taught)
