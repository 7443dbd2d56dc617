"""`okd plan`: what will run, and what it costs; preview it, or make plan/ follow params.yaml."""

import json
import os
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.plan.planner import Plan, make_plan
from okd.plan.price import check_budget, price
from okd.plan.settings import Project, open_project, save_choice
from okd.plan.store import finished_runs, write_plan
from okd.training.lease import visible_devices
from okd.training.stop import Stopped


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    targets: Annotated[list[str] | None, typer.Argument(help="Papers, tables, rows or cells (okddip-t2/resnet-32).")] = None,
    scale: Annotated[str | None, typer.Option(help="demo, short or paper.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Write the choice into params.yaml and plan/.")] = False,
    budget: Annotated[bool, typer.Option("--check-budget", help="Refuse a plan that costs more than params.yaml allows.")] = False,
    slots: Annotated[bool, typer.Option("--slots", help="Print how many trainers the GPUs here take at once; 0 without one.")] = False,
    as_json: Json = False,
) -> None:
    """Without arguments: make plan/ follow params.yaml. With targets or a scale: preview; nothing is written without --save."""
    project = open_project()
    if scale is not None and scale not in ("demo", "short", "paper"):
        raise ValueError(f"--scale: '{scale}' is not one of demo, short, paper")
    choice = make_plan(project, scale=scale, targets=targets or None)
    if save:
        changed = save_choice(project.root, scale=choice.scale, reproduce=targets or None)
        typer.echo(f"params.yaml: {', '.join(changed) or 'unchanged'}", err=True)
    preview = bool(targets or scale) and not save
    if preview or as_json:
        _show(project, choice, as_json)
    if preview:
        return
    if budget:
        check_budget(project.root, choice.to_do, project.settings.budget.device_hours)
    reshaped = write_plan(project.root, choice)
    if not as_json:
        typer.echo(_summary(project, choice), err=True)
    if slots:
        typer.echo(len(visible_devices()) * project.settings.devices.slots)
    if reshaped and os.environ.get("DVC_STAGE"):
        raise Stopped("plan/ now has other runs: run the same dvc command again")


def _summary(project: Project, choice: Plan) -> str:
    done = len(finished_runs(project.root, choice.to_do))
    hint = "" if choice.scale == "paper" else "; the whole papers: okd plan --scale paper --save"
    return f"okd: scale {choice.scale}, {', '.join(project.settings.reproduce)}: {len(choice.to_do)} runs, {done} done{hint}"


def _show(project: Project, choice: Plan, as_json: bool) -> None:
    cells = [cell for cell in choice.cells if cell.address in choice.addresses]
    reasons = Counter(cell.reason for cell in cells if cell.reason)
    total = price(project.root, choice.to_do)
    done = {run.id for run in finished_runs(project.root, choice.to_do)}
    if as_json:
        record = {
            "scale": choice.scale,
            "cells": len(cells),
            "without_runs": dict(reasons),
            "runs": {run.id: {"key": run.key, "done": run.id in done} for run in choice.to_do},
            "price": asdict(total),
        }
        typer.echo(json.dumps(record))
        return
    tables = len({cell.placed.table.id for cell in cells})
    typer.echo(f"scale {choice.scale}: {tables} tables, {len(cells)} cells, {len(choice.to_do)} runs ({len(done)} done)")
    for reason, count in sorted(reasons.items()):
        typer.echo(f"  {count:4} cells: {reason}")
    typer.echo(f"still to pay: about {total}")
    for run in choice.to_do[:20]:
        typer.echo(f"  {'done ' if run.id in done else 'to do'}  {run.id}")
    if len(choice.to_do) > 20:
        typer.echo(f"  ... and {len(choice.to_do) - 20} more (--json lists all)")
