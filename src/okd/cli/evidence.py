"""`okd evidence`: write small committed records of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from okd.evaluation.evidence import evidence_file, evidence_record
from okd.evaluation.outcomes import Outcome, outcome, statistic_name, value_of
from okd.evaluation.scores import Predictions
from okd.plan.paper import COSTS
from okd.plan.planner import Plan, make_plan
from okd.plan.run import Run
from okd.plan.settings import Project, open_project
from okd.plan.source import nearest
from okd.plan.store import Places, write_json


def register(app: typer.Typer) -> None:
    app.command()(evidence)


def evidence(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Finished runs, of any scale.")]) -> None:
    """Write reports/evidence/<id>.<key>.json: spec, result, counts, history. The report uses it where the run's files are not."""
    project = open_project()
    made = [_record(project, run_id) for run_id in ids]  # all are read before anything is written
    for run, record in made:
        for old in (project.root / "reports" / "evidence").glob(f"{run.id}.{'[0-9a-f]' * 12}.json"):
            if old != evidence_file(project.root, run):
                old.unlink()
        write_json(evidence_file(project.root, run), record)
        typer.echo(str(evidence_file(project.root, run).relative_to(project.root)))


def planned(project: Project, run_id: str) -> tuple[Plan, Run]:
    """A run of the scale that its id names. Raises ValueError with the nearest known ids."""
    scale = next((scale for scale in ("demo", "short") if run_id.startswith(f"{scale}-")), "paper")
    plan = make_plan(project, scale=scale)
    if run_id not in plan.runs:
        raise ValueError(f"no run is called '{run_id}'{nearest(run_id, plan.runs)}")
    return plan, plan.runs[run_id]


def finished(root: Path, run: Run) -> Outcome:
    """Raises ValueError where there is no result of just this spec on this machine."""
    one = outcome(root, run)
    if one.result is None or one.evidence:
        raise ValueError(f"{run.id}: no finished result here ({one.record.state}): okd train {run.id}")
    return one


def _record(project: Project, run_id: str) -> tuple[Run, dict]:
    plan, run = planned(project, run_id)
    one = finished(project.root, run)
    folder = Places(project.root, run).result
    history = (folder / "history.csv").read_text(encoding="utf-8")
    predictions = Predictions.read(folder / "predictions.npz")
    return run, evidence_record(run, one.result or {}, history, predictions, _statistics(project.root, plan, one))


def _statistics(root: Path, plan: Plan, one: Outcome) -> dict[str, float]:
    """What the cells ask for whose replicates begin with this run."""
    found: dict[str, float] = {}
    if one.record.state != "done":
        return found
    for planned_cell in plan.cells:
        cell = planned_cell.placed.cell
        if cell is None or cell.difference or cell.statistic in COSTS:
            continue
        for replicate in planned_cell.replicates:
            if replicate[0] != one.run.id:
                continue
            outcomes = [outcome(root, plan.runs[run]) for run in replicate]
            if all(other.record.state == "done" and not other.evidence for other in outcomes):
                found[statistic_name(cell, outcomes)] = value_of(root, cell, outcomes)
    return found
