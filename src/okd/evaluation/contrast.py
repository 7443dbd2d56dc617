"""What differs between two runs, in what they are and in what came out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from okd.evaluation.scores import percent_wrong
from okd.plan.planner import make_plan
from okd.plan.run import Run
from okd.plan.settings import Project
from okd.plan.source import nearest
from okd.plan.store import Places, read_json

NEVER_EQUAL = ("seconds", "resumes", "inexact_resumes", "id", "key")  # said by themselves or without meaning
ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class Side:
    """A run as it was found: planned, or with its result."""

    name: str
    key: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @property
    def errors(self) -> dict[str, float]:
        """Percent by row, after the last epoch."""
        result = self.result or {}
        return {row: round(percent_wrong(count, result["test_images"]), 4) for row, count in (result.get("test_correct") or {}).items()}


def find_run(project: Project, name: str) -> Side:
    """A folder with a result, a piece of evidence, or the id of a run of any cell at any scale. Raises ValueError."""
    path = Path(name)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file() and (record := read_json(path)) and isinstance(record.get("spec"), dict):
        return Side(name=record["id"], key=record["key"], spec=record["spec"], result=record.get("result"))
    runs = dict[str, Run]()
    for scale in ("demo", "short", "paper"):
        runs |= make_plan(project, scale=scale).runs
    if name not in runs:
        raise ValueError(f"'{name}' is no run of any cell, and no folder with a result{nearest(name, runs)}")
    run = runs[name]
    return Side(name=run.id, key=run.key, spec=run.spec, result=_result(Places(project.root, run).result))


def _of_folder(folder: Path) -> Side:
    """results/<scale>/<id>/<key>, or the folder above it, where the file `key` says which."""
    if not (folder / "spec.json").is_file() and (folder / "key").is_file():
        folder = folder / (folder / "key").read_text().strip()
    try:
        run = Run.from_json((folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{folder}: no spec.json of a run there") from None
    return Side(name=run.id, key=run.key, spec=run.spec, result=_result(folder))


def _result(folder: Path) -> dict[str, Any] | None:
    return read_json(folder / "result.json")


def contrast(one: Side, two: Side) -> dict[str, dict[str, list[Any]]]:
    """By "spec", "result" and "errors": what differs, by dotted name, as [one, two]. A value that is not there is "-"."""
    found = {"spec": _differing(_flat(one.spec), _flat(two.spec))}
    if one.result and two.result:
        results = [{name: value for name, value in side.items() if name not in NEVER_EQUAL} for side in (one.result, two.result)]
        found["result"] = _differing(*(_flat(side) for side in results))
        found["errors"] = _differing(one.errors, two.errors)
    return found


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys([*one, *two])
    return {name: [one.get(name, ABSENT), two.get(name, ABSENT)] for name in names if one.get(name, ABSENT) != two.get(name, ABSENT)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= _flat(part, f"{prefix}{name}.") if isinstance(part, Mapping) and part else {f"{prefix}{name}": part}
    return flat


def contrast_lines(one: Side, two: Side) -> list[str]:
    """For people."""
    states = {True: "done", False: "no result here"}
    lines = [f"{side.name} ({side.key}, {states[side.result is not None]})" for side in (one, two)]
    if one.key == two.key:
        lines.append("the same run: equal keys")
    for kind, rows in contrast(one, two).items():
        if not rows:
            lines.append(f"{kind}: no difference")
        for name, values in rows.items():
            left, right = (value if isinstance(value, str) else json.dumps(value) for value in values)
            lines.append(f"{kind:7} {name}: {left} | {right}")
    return lines
