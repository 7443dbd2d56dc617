"""Evidence: a small committed record of a real run, from which its cells can be shown without the run's files."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from okd.evaluation.scores import Predictions
from okd.plan.run import Run, key_of
from okd.plan.store import read_json

VERSION = 1


class NotInEvidence(ValueError):
    """A statistic that was not needed when the evidence was written."""


def evidence_file(root: Path, run: Run) -> Path:
    return root / "reports" / "evidence" / f"{run.id}.{run.key}.json"


def evidence_record(run: Run, result: Mapping[str, Any], history: str, predictions: Predictions, statistics: dict[str, float]) -> dict:
    """What `okd evidence` writes: spec, result, integer counts of every row, the statistics that cells ask for, the history."""
    correct = {row: {f"top{top}": predictions.correct(row, top) for top in (1, 5)} for row in predictions.rows}
    return {
        "version": VERSION,
        "id": run.id,
        "key": run.key,
        "spec": run.spec,
        "result": dict(result),
        "images": len(predictions.labels),
        "correct": correct if result["status"] == "done" else {},
        "statistics": dict(sorted(statistics.items())),
        "history": history.splitlines(),
    }


def read_evidence(root: Path, run: Run) -> dict[str, Any] | None:
    """The evidence of just this run, else of the same run under other numerics; None where there is none or it is damaged.

    Numerics change rounding and nothing else, so such a number is worth showing; whether it may be judged is another matter.
    """
    file = evidence_file(root, run)
    others = sorted(other for other in file.parent.glob(f"{run.id}.{'[0-9a-f]' * 12}.json") if other != file)
    return next((record for place in (file, *others) if (record := _sound(place, run))), None)


def _sound(file: Path, run: Run) -> dict[str, Any] | None:
    record = read_json(file)
    if record is None or record.get("version") != VERSION or not isinstance(record.get("spec"), dict):
        return None
    spec, result = record["spec"], record.get("result")
    if record.get("key") != key_of(spec) or not isinstance(result, dict) or result.get("key") != record["key"]:
        return None
    return record if spec | {"numerics": None} == run.spec | {"numerics": None} else None


def other_numerics(record: Mapping[str, Any] | None, run: Run) -> str:
    """The numerics behind evidence, where they are not the run's own; else nothing."""
    numerics = record["spec"]["numerics"] if record else run.spec["numerics"]
    return "" if numerics == run.spec["numerics"] else str(numerics["name"])


def stale_evidence(root: Path, run: Run) -> str:
    """Why the evidence that bears this run's id cannot be used, where `read_evidence` found none; nothing where there is no file."""
    for file in sorted((root / "reports" / "evidence").glob(f"{run.id}.{'[0-9a-f]' * 12}.json")):
        spec = (read_json(file) or {}).get("spec")
        if not isinstance(spec, dict) or file == evidence_file(root, run):
            return f"the evidence {file.name} is damaged"
        return f"evidence of another spec: {', '.join(_differences(spec, run.spec)) or 'its key differs'}"
    return ""


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In words: "training revision 3, now 5"; "recipe: epochs 200, now 300"."""
    lines = []
    for name in sorted(set(old) | set(new)):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            lines += [f"{name} {line}" for line in _differences(was, now)]
        else:
            word = "training revision" if name == "training" else name
            lines.append(f"{word} {was}, now {now}")
    return lines


def history_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
