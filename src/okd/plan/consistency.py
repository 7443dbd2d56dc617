"""Whether the catalog agrees with itself: what its entries say of each other."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from okd.plan.schema import Problem
from okd.plan.source import nearest

if TYPE_CHECKING:
    from okd.plan.catalog import Catalog, MethodEntry, Value


def inconsistencies(catalog: "Catalog") -> Iterator[Problem]:
    """Every fault that the schema alone cannot know, each at its place."""
    for name, network in catalog.networks.items():
        if network.sibling is not None and network.sibling not in catalog.networks:
            yield ("networks", name, "sibling"), f"there is no network '{network.sibling}'{nearest(network.sibling, catalog.networks)}"
    for name, dataset in catalog.datasets.items():
        if dataset.built and not (dataset.normalisation and dataset.augmentation):
            yield ("datasets", name), "with a revision, it needs normalisation and augmentation"
    for name, method in catalog.methods.items():
        yield from ((("methods", name, *place), problem) for place, problem in _of_method(method))


def _of_method(method: "MethodEntry") -> Iterator[Problem]:
    for name, option in method.options.items():
        for field, value in (("default", option.default), ("neutral", option.neutral)):
            if value is not None and (problem := option.problem(value)):
                yield ("options", name, field), problem
    for name, reading in method.readings.items():
        yield from ((("readings", name, *place), problem) for place, problem in _wrong_values(method, reading))
    yield from ((("leader", *place), problem) for place, problem in _wrong_values(method, method.leader or {}))


def _wrong_values(method: "MethodEntry", values: "Mapping[str, Value]") -> Iterator[Problem]:
    for name, value in values.items():
        if name == "students":
            continue
        if name not in method.options:
            yield (name,), f"the method has no option '{name}'{nearest(name, method.options)}"
        elif problem := method.options[name].problem(value):
            yield (name,), problem
