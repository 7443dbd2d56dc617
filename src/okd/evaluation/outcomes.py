"""What has become of a run: its state, its numbers, the line that explains it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from okd.evaluation.evidence import NotInEvidence, other_numerics, read_evidence, stale_evidence
from okd.evaluation.run_record import Exchange, RunRecord
from okd.evaluation.scores import Predictions, statistic
from okd.plan.paper import Cell
from okd.plan.run import Named, Run
from okd.plan.store import Places, read_json, write_json

FRESH_S = 120.0  # a progress file older than this belongs to a trainer that is gone


@dataclass(frozen=True)
class Outcome:
    run: Run
    record: RunRecord
    result: dict[str, Any] | None  # result.json of a finished or diverged run
    evidence: dict[str, Any] | None = None  # where the result itself is not on this machine

    @property
    def numerics(self) -> Named:
        """Those that its result was computed with, else those that are planned."""
        return Named(**self.evidence["spec"]["numerics"]) if self.evidence else self.run.numerics


def outcome(root: Path, run: Run, *, local: bool = True) -> Outcome:
    """A run's result here, else its evidence, else what is known about it; with `local` off only evidence counts."""
    places = Places(root, run)
    result = read_json(places.result / "result.json") if local and places.finished() else None
    evidence = None
    if result is None or result.get("key") != run.key:
        evidence = read_evidence(root, run)
        result = evidence["result"] if evidence else None
    base = {"id": run.id, "key": evidence["key"] if evidence else run.key, "seed": run.seed, "command": f"dvc repro train@{run.id}"}
    if result is None:
        state, detail = _unfinished(places) if local else ("not run", "")
        if state == "not run" and (why := stale_evidence(root, run)):
            state, detail = "stale", why
        return Outcome(run, RunRecord(**base, state=state, detail=detail), None)
    try:
        record = RunRecord(**base, **_finished(result), from_evidence=evidence is not None)
        if record.state == "done" and (numerics := other_numerics(evidence, run)):
            record = record.model_copy(update={"detail": f"computed as {numerics}, planned as {run.numerics.name}"})
        return Outcome(run, record, result, evidence)
    except (KeyError, TypeError, ValueError):  # another format, or not a result at all
        return Outcome(
            run, RunRecord(**base, state="failed", detail="result.json is damaged or of another version: see `okd verify`"), None
        )


def _finished(result: dict[str, Any]) -> dict[str, Any]:
    where = result["diverged"]
    return {
        "state": {"done": "done", "diverged": "diverged"}[result["status"]],
        "detail": f"{where['term']} was not finite at step {where['step']} (epoch {where['epoch']})" if where else "",
        "epochs": result["epochs"],
        "seconds": result["seconds"],
        "device": result["device"],
        "weights_sha256": result["sha256"]["weights.safetensors"],
        "data_sha256": result["data"],
        "resumes": result["resumes"],
        "peak_memory": result.get("peak_memory"),
        "exchange": Exchange.of(result.get("exchange")),
    }


def _unfinished(places: Places) -> tuple[str, str]:
    if failure := read_json(places.failure):
        return "failed", str(failure.get("error") or "no reason was written").splitlines()[0]
    progress = read_json(places.progress)
    if progress and time.time() - float(progress.get("updated", 0)) < FRESH_S:
        return "running", f"epoch {progress.get('epoch')} of {progress.get('epochs')}"
    stored = places.stored_key()
    if stored is not None and stored != places.run.key:
        return "stale", f"there is a result of another spec ({stored}); the plan now says {places.run.key}"
    return "not run", ""


def student_of(cell: Cell, run: Run) -> int | None:
    """The row of a run that a cell's `student` picks; None where all rows count.

    `student` picks one of the networks that a cell lists. Methods that train one network, or branches of one, have already
    been given that network, and all that they train is it.
    """
    return cell.student if run.method.group == "networks" else None


def statistic_name(cell: Cell, replicate: list[Outcome]) -> str:
    """The name under which a replicate's value is kept; of several joined runs also by their bytes."""
    name = _name(cell, replicate[0].run)
    return name if len(replicate) == 1 else f"{name}@{_digests(replicate)}"


def _name(cell: Cell, run: Run) -> str:
    return f"{cell.statistic}.{cell.mix}.{cell.top}.{student_of(cell, run)}"


def _digests(replicate: list[Outcome]) -> str:
    return "-".join(one.result["sha256"]["predictions.npz"][:16] for one in replicate if one.result)


def value_of(root: Path, cell: Cell, replicate: list[Outcome]) -> float:
    """The cell's statistic of one finished replicate: errors in percent, cached by the bytes of the predictions.

    Raises NotInEvidence where evidence has to do and does not hold it.
    """
    assert all(one.result is not None for one in replicate)
    if kept := [one.evidence for one in replicate if one.evidence]:
        values = [record["statistics"] for record in kept if statistic_name(cell, replicate) in record["statistics"]]
        if not values:
            raise NotInEvidence(f"the evidence of {replicate[0].run.id} does not hold {cell.statistic}")
        return float(values[0][statistic_name(cell, replicate)])
    digests = _digests(replicate)
    name, student = _name(cell, replicate[0].run), student_of(cell, replicate[0].run)
    file = root / "scratch" / "scores" / f"{replicate[0].run.id}.{len(replicate)}.json"
    cache = read_json(file) or {}
    if cache.get("predictions") != digests:
        cache = {"predictions": digests, "values": {}}
    if name not in cache["values"]:
        predictions = [Predictions.read(Places(root, one.run).result / "predictions.npz") for one in replicate]
        cache["values"][name] = statistic(cell.statistic, predictions, mix=cell.mix, top=cell.top, student=student)
        write_json(file, cache)
    return float(cache["values"][name])
