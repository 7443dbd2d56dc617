"""A run's spec in words, and how it differs from the paper's."""

import json
from collections.abc import Mapping
from typing import Any

from okd.evaluation.records import Configuration
from okd.plan.paper import Cell, PaperFile
from okd.plan.run import Run

NOT_OURS = ("seed", "teacher")  # they differ between the runs of one cell


def configuration(run: Run, at_paper_scale: Run | None, cell: Cell) -> Configuration:
    """Of a cell's first run as it was computed; `at_paper_scale` is the run that is planned in its place at scale paper."""
    resolved = flat(run)
    if at_paper_scale is None:
        return Configuration(resolved=resolved, unlike_paper=["all of it: at the paper's scale this cell has no run yet"])
    theirs = flat(at_paper_scale)
    whose = {"numerics": "planned"}  # no paper says what ours are
    unlike = [
        f"{name}: {resolved.get(name, 'none')}, {whose.get(name, 'in the paper')} {theirs.get(name, 'none')}" for name in theirs | resolved
    ]
    return Configuration(
        resolved=resolved,
        unlike_paper=[line for line, name in zip(unlike, theirs | resolved, strict=True) if resolved.get(name) != theirs.get(name)],
        own_recipe=[f"{name}: {words(value)}" for name, value in cell.recipe.items()],
    )


def flat(run: Run) -> dict[str, str]:
    """Every resolved field of a run with the revisions of the code behind it."""
    networks = dict.fromkeys(f"{network.name} (revision {network.revision})" for network in run.networks)
    lines = {
        "data set": f"{run.dataset.name} (revision {run.dataset.revision})",
        "networks": (f"{len(run.networks)} x " if len(run.networks) > len(networks) == 1 else "") + ", ".join(networks),
        "method": f"{run.method.name} (revision {run.method.revision}), {run.method.group}",
    }
    lines |= {name.replace("_", " "): words(value) for name, value in run.method.options.items()}
    recipe = {name: getattr(run.recipe, name) for name in run.recipe.__dataclass_fields__}
    lines |= {name.replace("_", " "): words(value) for name, value in recipe.items() if value not in ({}, 0) or name == "weight_decay"}
    return lines | {"numerics": f"{run.numerics.name} (revision {run.numerics.revision})", "training loop": f"revision {run.training}"}


def recipe_of(paper: PaperFile) -> dict[str, str]:
    return {name: words(value) for name, value in paper.recipe.items()}


def words(value: Any) -> str:
    """A value on one line: maps as "name value"."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words(part)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)
