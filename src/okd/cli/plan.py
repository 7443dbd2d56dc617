"""`okd plan`: what will run, and what it costs; preview it, or make plan/ follow params.yaml."""

import json
import os
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from okd.cli.options import Json
from okd.plan.margins import read_margins
from okd.plan.paper import read_papers
from okd.plan.planner import NOT_RUN, Plan, make_plan
from okd.plan.preview import Preview
from okd.plan.price import check_budget, price
from okd.plan.rates import Kind
from okd.plan.scales import check_scales
from okd.plan.settings import Project, Scale, find_root, open_project, save_choice
from okd.plan.source import Faults, collect
from okd.plan.store import finished_runs, forgive_clocks, write_plan
from okd.training.lease import visible_devices
from okd.training.stop import Stopped

DEVICES: dict[str, Kind] = {"gpu": "GPU", "cpu": "CPU core"}


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    targets: Annotated[list[str] | None, typer.Argument(help="Papers, tables, rows, cells (okddip-t2/resnet-32/one) or claims.")] = None,
    scale: Annotated[str | None, typer.Option(help="demo, short or paper.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Write the choice into params.yaml and plan/.")] = False,
    budget: Annotated[bool, typer.Option("--check-budget", help="Refuse a plan that costs more than params.yaml allows.")] = False,
    slots: Annotated[bool, typer.Option("--slots", help="Print how many trainers the GPUs here take at once; 0 without one.")] = False,
    device: Annotated[str | None, typer.Option(help="The price is that of a gpu or of cpu cores, whatever is here.")] = None,
    as_json: Json = False,
) -> None:
    """Without arguments: make plan/ follow params.yaml. With targets or a scale: preview; nothing is written without --save."""
    if scale is not None and scale not in get_args(Scale):
        raise ValueError(f"--scale: '{scale}' is not one of {', '.join(get_args(Scale))}")
    if device is not None and device not in DEVICES:
        raise ValueError(f"--device: '{device}' is not one of {', '.join(DEVICES)}")
    targets = list(dict.fromkeys(targets or []))
    kind = DEVICES[device] if device else None
    project, choice = _planned(scale, targets or None)
    if save:
        changed = save_choice(project.root, scale=choice.scale, reproduce=targets or None)
        typer.echo(f"params.yaml: {', '.join(changed) or 'unchanged'}", err=True)
        cost, limit = price(project.root, choice.to_do, device=kind), project.settings.budget.device_hours
        over = f"; budget.device_hours in params.yaml allows {limit:g}: raise it before you start" if cost.hours > limit else ""
        typer.echo(f"still to pay: about {cost}{over}", err=True)
    preview = bool(targets or scale) and not save
    if preview or as_json:
        _show(project, choice, as_json, kind)
    if preview:
        return
    if budget:
        check_budget(project.root, choice.to_do, project.settings.budget.device_hours, device=kind)
    reshaped = write_plan(project.root, choice)
    forgive_clocks(project.root, choice.to_do)
    if not as_json:
        typer.echo(_summary(project, choice, targets or project.settings.reproduce), err=True)
    if slots:
        typer.echo(len(visible_devices()) * project.settings.devices.slots)
    if reshaped and os.environ.get("DVC_STAGE"):
        raise Stopped("plan/ now has other runs: run the same dvc command again")


def _planned(scale: str | None, targets: list[str] | None) -> tuple[Project, Plan]:
    """Raises Faults of all files together, those that only the tables read included: they should not wait for the trainings."""
    root = find_root()

    def planned() -> tuple[Project, Plan]:
        project = open_project(root)
        check_scales(root)
        return project, make_plan(project, scale=scale, targets=targets)

    readers: list[Callable[[], Any]] = [lambda: read_margins(root), lambda: check_scales(root), lambda: read_papers(root)]
    try:
        found = planned()
    except Faults:
        collect([planned, *readers])
        raise
    collect([lambda: read_margins(root), lambda: check_scales(root, (cell.placed for cell in found[1].cells))])
    return found


def _summary(project: Project, choice: Plan, chosen: list[str]) -> str:
    done = len(finished_runs(project.root, choice.to_do))
    left = sum(cell.reason == NOT_RUN for cell in choice.cells if cell.address in choice.addresses)
    without = f", {left} cells are not run at this scale" if left else ""
    hint = "" if choice.scale == "paper" else f"; the whole papers: okd plan --scale paper {' '.join(choice.papers)} --save"
    return f"okd: scale {choice.scale}, {', '.join(chosen)}: {len(choice.to_do)} runs, {done} done{without}{hint}"


def _show(project: Project, choice: Plan, as_json: bool, device: Kind | None) -> None:
    found = visible_devices()
    cores = len(os.sched_getaffinity(0))
    preview = Preview.of(project.root, choice, devices=(1 if device else 0) or len(found) or cores, device=device)
    if as_json:
        typer.echo(json.dumps(preview.record()))
        return
    for line in preview.lines():
        typer.echo(line)
