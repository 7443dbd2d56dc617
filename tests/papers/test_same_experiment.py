"""What several papers print of one experiment: the figures that the reference quotes, from the paper files alone."""

from pathlib import Path

import pytest

from okd.evaluation.same_experiment import SameExperiment, SharedCell, same_experiment
from okd.plan.cells import PlacedCell
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def placed() -> list[PlacedCell]:
    return [cell.placed for cell in make_plan(open_project(ROOT), scale="paper").cells]


@pytest.fixture(scope="module")
def shared(placed: list[PlacedCell]) -> SameExperiment:
    return same_experiment(placed)


def of(shared: SameExperiment, network: str, method: str, dataset: str = "cifar100", measure: str = "top-1 error") -> SharedCell:
    (found,) = [
        cell for cell in shared.cells if (cell.dataset, cell.network, cell.method, cell.measure) == (dataset, network, method, measure)
    ]
    return found


@pytest.mark.parametrize(
    ("network", "method", "values", "distance"),
    [
        ("resnet32", "baseline", {"one": 31.18, "okddip": 28.76, "kdcl": 30.1}, 2.42),
        ("resnet32", "dml", {"one": 29.03, "okddip": 26.47, "kdcl": 26.7}, 2.56),
        ("resnet32", "one", {"one": 26.61, "okddip": 26.50, "kdcl": 26.4}, 0.21),
        ("resnet110", "baseline", {"one": 25.33, "okddip": 24.12, "md": 25.98}, 1.86),
        ("resnet110", "dml", {"one": 24.10, "okddip": 22.50, "md": 23.08}, 1.6),
        ("resnet110", "one", {"one": 21.62, "okddip": 21.67}, 0.05),
    ],
)
def test_the_quoted_cells(shared: SameExperiment, network: str, method: str, values: dict[str, float], distance: float) -> None:
    cell = of(shared, network, method)
    assert (cell.values, cell.range) == (values, distance)


def test_one_name_may_be_two_networks(shared: SameExperiment) -> None:
    """The papers' assumptions `resnet-110`: 164 layers for ONE and MD, 12 bottleneck blocks a stage for OKDDip."""
    cell = of(shared, "resnet110", "baseline")
    assert cell.networks == {"one": "resnet164", "okddip": "resnet110-bottleneck", "md": "resnet164"}
    assert not cell.is_one_network
    assert of(shared, "resnet32", "dml").is_one_network
    assert {one.network for one in shared.cells if not one.is_one_network} == {"resnet110"}


def test_the_quoted_gains_of_one(shared: SameExperiment) -> None:
    (gain,) = [one for one in shared.gains if (one.dataset, one.network, one.method) == ("cifar100", "resnet32", "one")]
    assert (gain.values, gain.range) == ({"one": 4.57, "okddip": 2.26, "kdcl": 3.7}, 2.31)


def test_the_quoted_distances(placed: list[PlacedCell]) -> None:
    """The reference counts 11 cells and a median of 0.27 without saying which. The CIFAR cells of ONE, OKDDip and KDCL are 12."""
    three = same_experiment([cell for cell in placed if cell.paper != "md" and cell.cell and cell.cell.dataset != "imagenet"])
    ranges = sorted(cell.range for cell in three.cells)
    assert (len(ranges), three.within_half, three.worst) == (12, 6, 2.56)
    assert ranges[5] == 0.27  # the median of 11, whichever of the six farther ones is left out


def test_all_four_papers(shared: SameExperiment) -> None:
    assert (len(shared.cells), shared.within_half, shared.worst) == (18, 6, 2.56)
    assert of(shared, "resnet18", "baseline", "imagenet", "top-5 error").values == {"one": 10.98, "kdcl": 10.0}


def test_accuracy_becomes_error_and_keeps_what_was_printed(shared: SameExperiment) -> None:
    cell = of(shared, "resnet32", "dml")
    assert cell.printed == {"one": "29.03 +- 0.22*", "okddip": "26.47 +- 0.26", "kdcl": "73.3"}
    assert cell.addresses["kdcl"] == ["kdcl-t7/dml/resnet-32"]


def test_other_schedules_and_groups_are_other_experiments(shared: SameExperiment) -> None:
    """KDCL's networks of 100 or 300 epochs, MD's mixed pairs and KD with its teachers stand in no two papers alike."""
    addresses = [address for cell in shared.cells for named in cell.addresses.values() for address in named]
    others = ("kdcl-t4/mbv2", "kdcl-t5", "md-t4", "kdcl-t7/2-distill-1/resnet-32")
    assert not [address for address in addresses if address.startswith(others)]
