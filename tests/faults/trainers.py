"""Fixtures of the fault table: a nursery of forked trainers, and runs in folders of their own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from child import Nursery
from tiny import Trial, make_tiny, name_of

from okd.plan.run import Run


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Run]]:
    """The project, planned once, without data: the tests' processes have tiny arrays instead."""
    return make_tiny(tmp_path_factory.mktemp("planned"))


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("children"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def trial(planned: tuple[Path, dict[str, Run]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trial]:
    """A run by its short name, in a copy of the project that the tests of a module share."""
    folder, runs = planned
    copy = tmp_path_factory.mktemp("project") / "checkout"
    shutil.copytree(folder, copy)
    named = {name_of(run): run for run in runs.values()}
    return lambda name: Trial(copy, named[name])


@pytest.fixture(scope="module")
def whole(nursery: Nursery) -> Callable[[Trial], str]:
    """The bits of a run that was never stopped, made once."""
    known: dict[str, str] = {}

    def bits(of: Trial) -> str:
        if of.run.id not in known:
            known[of.run.id] = nursery.whole(of)
        of.fresh()
        return known[of.run.id]

    return bits
