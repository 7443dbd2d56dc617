"""A few steps of every method and of a network of each family, against losses recorded before.

Meaning is versioned by the revisions in the catalog: what computes something else now needs a new one, or old results would pass for
new ones. `python tests/golden/test_golden.py` records anew what has a new revision, and refuses what moved without one.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch

from okd.data.feed import Split
from okd.networks import build
from okd.plan.catalog import Value, catalog
from okd.plan.run import Named, Run, RunMethod, RunRecipe
from okd.training.predict import evaluate, show
from okd.training.session import Session

FOLDER = Path(__file__).parent
COMMAND = "python tests/golden/test_golden.py"
CLASSES, EPOCHS = 5, 3
RELATIVE, ABSOLUTE = 1e-3, 1e-5
SHORT = {"ramp_up": 2, "t_in": 1, "t_d": 2, "held_out": 5}

Losses = list[list[float]]  # an epoch each: hard, soft, the teacher's own


class Golden(NamedTuple):
    """What stands in a file for one case."""

    revision: int  # of the method or network
    training: int  # of the loop
    losses: Losses


class Case(NamedTuple):
    method: str
    options: dict[str, Value]
    network: str = "resnet8"


VARIANTS: list[tuple[str, dict[str, Value]]] = [
    ("one", {"setting": "network"}),
    ("one", {"gate": "mean"}),
    ("okddip", {"setting": "network"}),
    ("okddip", {"attention": "random"}),
    ("okddip", {"attention": "mean"}),
    ("okddip", {"attention": "identity"}),
    ("okddip", {"first_level": "entropy"}),
    ("okddip", {"levels": 1}),
    ("okddip", {"target": "weights"}),
    ("kdcl-linear", {"students": 3}),
    ("kdcl-naive", {"views": "shared"}),
    ("md", {"kl": "naive"}),
    ("md", {"t_squared": "with"}),
]


def method_cases() -> Iterator[tuple[str, Case]]:
    """Every method, every reading, and some options that readings do not reach."""
    for name, entry in catalog().methods.items():
        if entry.built:
            yield name, Case(name, {})
            yield from ((f"{name} reading={reading}", Case(name, {"reading": reading})) for reading in entry.readings)
    for name, options in VARIANTS:
        yield " ".join([name, *(f"{option}={value}" for option, value in options.items())]), Case(name, options)


def network_cases() -> Iterator[tuple[str, Case]]:
    """The small network of each family."""
    for name in sorted({entry.sibling for entry in catalog().networks.values() if entry.sibling}):
        if catalog().networks[name].built:
            yield name, Case("baseline", {}, name)


FILES: Mapping[str, dict[str, Case]] = {"methods": dict(method_cases()), "networks": dict(network_cases())}


def run_of(case: Case) -> Run:
    entry = catalog().methods[case.method]
    options = entry.resolve(case.options)
    options |= {name: min(value, int(options[name])) for name, value in SHORT.items() if name in options}
    kind = entry.group_kind(options)
    cycles = case.method == "snapshot"
    return Run(
        id="golden",
        scale="demo",
        dataset=Named(name="digits", revision=1),
        classes=CLASSES,
        networks=(Named(name=case.network, revision=1),) * (int(options["students"]) if kind == "networks" else 1),
        method=RunMethod(name=case.method, revision=1, group=kind, leader=entry.has_leader(options), options=options),
        recipe=RunRecipe(
            epochs=EPOCHS,
            batch_size=10,
            lr={"cycles": [0.05, 2]} if cycles else {"multistep": [0.05, 2]},
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            normalisation={"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
            augmentation={"padding": 1, "flip": True},
        ),
        numerics=Named(name="exact", revision=1),
        training=1,
        seed=0,
    )


def arrays() -> dict[str, Split]:
    """27 training images and 6 test images of noise around a level for each class."""
    draw = np.random.Generator(np.random.PCG64(0))

    def split(count: int) -> Split:
        labels = (np.arange(count) % CLASSES).astype(np.int16)
        noise = draw.integers(0, 100, size=(count, 3, 16, 16))
        return Split((noise + 30 * labels[:, None, None, None]).astype(np.uint8), labels)

    return {"train": split(27), "test": split(6)}


def replay(case: Case) -> Losses:
    """The mean losses of three short epochs, by the session that trains every run."""
    teacher = build(case.network, CLASSES, seed=100) if catalog().methods[case.method].taught else None
    with (
        patch("okd.data.feed.read_arrays", lambda name, root: (None, arrays())),
        patch("okd.training.session.pretrained", lambda run, root: teacher),
        torch.random.fork_rng(devices=[]),
    ):
        session = Session(run_of(case), FOLDER, torch.device("cpu"))
        while session.epoch < EPOCHS:
            for batch in session.start_epoch():
                session.take_step(batch)
            show(session)
            session.end_epoch(*evaluate(session))
    return [[float(f"{value:.6g}") for value in (epoch.loss_hard, epoch.loss_soft, epoch.loss_own)] for epoch in session.history]


def revisions(kind: str, case: Case) -> tuple[int, int]:
    known = catalog()
    entry = known.methods[case.method] if kind == "methods" else known.networks[case.network]
    assert entry.revision is not None
    assert known.training.revision is not None
    return entry.revision, known.training.revision


def read(kind: str) -> dict[str, Golden]:
    file = FOLDER / f"{kind}.json"
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return {name: Golden(**entry) for name, entry in record.items()}


def equal(ours: Losses, theirs: Losses) -> bool:
    return len(ours) == len(theirs) and all(
        epoch == pytest.approx(other, rel=RELATIVE, abs=ABSOLUTE) for epoch, other in zip(ours, theirs, strict=True)
    )


def moved(kind: str, name: str, case: Case, old: Golden, new: Losses) -> str:
    where = f"{kind}.{case.method if kind == 'methods' else case.network}.revision"
    return (
        f"{name} computes something else than when it was recorded:\n  then {old.losses}\n  now  {new}\n"
        f"If that is meant, raise {where} in src/okd/catalog.yaml (now {revisions(kind, case)[0]}; where every method moved, "
        f"training.revision instead), and record it: {COMMAND}"
    )


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, cases in FILES.items() for name in cases])
def test_what_was_recorded_is_what_is_computed(kind: str, name: str) -> None:
    case, golden = FILES[kind][name], read(kind).get(name)
    assert golden is not None, f"{name} was never recorded: {COMMAND}"
    assert (golden.revision, golden.training) == revisions(kind, case), f"{name} has a new revision; record it: {COMMAND}"
    losses = replay(case)
    if not equal(losses, golden.losses):
        pytest.fail(moved(kind, name, case, golden, losses), pytrace=False)


def test_nothing_is_recorded_that_is_gone() -> None:
    assert {kind: set(read(kind)) for kind in FILES} == {kind: set(cases) for kind, cases in FILES.items()}


def record() -> list[str]:
    """Record what is new or has a new revision; return what moved without one, which stays as it was."""
    refused = []
    for kind, cases in FILES.items():
        old, new = read(kind), dict[str, Golden]()
        for name, case in cases.items():
            golden, losses = old.get(name), replay(case)
            if golden is not None and equal(losses, golden.losses):
                losses = golden.losses  # digits that merely differ from machine to machine are no news
            elif golden is not None and (golden.revision, golden.training) == revisions(kind, case):
                refused.append(moved(kind, name, case, golden, losses))
                new[name] = golden
                continue
            new[name] = Golden(*revisions(kind, case), losses)
        lines = [f"{json.dumps(name)}: {json.dumps(golden._asdict())}" for name, golden in new.items()]
        (FOLDER / f"{kind}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return refused


if __name__ == "__main__":
    sys.exit("\n".join(record()) or None)
