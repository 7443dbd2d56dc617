"""`okd science`: does anybody learn from anybody? Every method on the digits, against the baseline of the same seed."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer

from okd.data.datasets import fetch
from okd.evaluation.scores import Predictions, statistic
from okd.plan.catalog import MethodEntry, catalog
from okd.plan.planner import Plan, PlannedCell, make_plan
from okd.plan.run import Run
from okd.plan.scales import read_scales
from okd.plan.settings import Project, open_project
from okd.plan.store import Places, write_json, write_plan
from okd.training.stop import Stop

NETWORK, TEACHER = "resnet8", "resnet-bottleneck-tiny"
RECIPE = {"epochs": 6, "batch_size": 64, "lr": {"multistep": [0.1]}, "momentum": 0.9, "nesterov": True, "weight_decay": 5.0e-4}
CYCLES = {"lr": {"cycles": [0.1, 3]}}


class Gain(NamedTuple):
    """Percentage points of error less than the baseline of the same seed."""

    method: str
    statistic: str
    error: float
    mean: float
    half_width: float  # of the 95 % t-interval

    def __str__(self) -> str:
        low, high = self.mean - self.half_width, self.mean + self.half_width
        return f"| {self.method} | {self.statistic} | {self.error:.2f} | {self.mean:+.2f} | {low:+.2f} to {high:+.2f} |"


def register(app: typer.Typer) -> None:
    app.command()(science)


def science(seeds: Annotated[int, typer.Option(min=2, max=100, help="Runs of each method.")] = 5) -> None:
    """Train every method on the digits in a folder of its own, and print what each gains over the baseline. Minutes on a CPU."""
    stop, project = Stop(), open_project()
    fetch("digits", project.root, project.settings.data)
    with TemporaryDirectory(prefix="okd-science-") as name:
        folder = Path(name)
        plan = _plan(project, folder, seeds)
        for run in plan.to_do:
            _train(run, folder, stop)
        measured = {cell.placed.column: _measure(plan, cell, folder) for cell in plan.cells}
    epochs, (_, alone) = plan.to_do[0].recipe.epochs, measured.pop("baseline")
    typer.echo(f"{NETWORK} on the digits, {epochs} epochs, seeds 0 to {seeds - 1}: the baseline's error is {_mean(alone):.2f} %\n")
    typer.echo("| Method | Statistic | Error (%) | Gain (points) | 95 % interval |\n|---|---|---|---|---|")
    for method, (statistic_name, errors) in measured.items():
        typer.echo(str(gain(method, statistic_name, alone, errors)))


def gain(method: str, name: str, baseline: list[float], errors: list[float]) -> Gain:
    """Paired by seed."""
    from scipy.stats import t

    gains = [alone - taught for alone, taught in zip(baseline, errors, strict=True)]
    mean, count = _mean(gains), len(gains)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in gains) / (count - 1))
    return Gain(method, name, _mean(errors), mean, float(t.ppf(0.975, count - 1)) * deviation / math.sqrt(count))


def _plan(project: Project, folder: Path, seeds: int) -> Plan:
    """A project of one paper of one row, each method a column, at scale demo."""
    demo = read_scales(project.root).model_dump()
    demo["demo"]["cells"] = ["science"]
    table = {"id": "methods", "title": "Every method", "cell": {"dataset": "digits", "network": NETWORK}, "rows": {NETWORK: {}}}
    methods, forced = catalog().methods, demo["demo"]["options"]  # a recipe of 6 epochs needs the demo's lengths to make sense
    table["columns"] = {name: _column(name, entry) for name, entry in methods.items() if entry.built}
    defaults = {name: {key: forced[key] for key in entry.options if key in forced} for name, entry in methods.items() if entry.built}
    paper = {"title": "Science", "source": {"authors": "ours", "venue": "none"}, "recipe": RECIPE, "seeds": 1}
    paper |= {"methods": {name: options for name, options in defaults.items() if options}, "tables": [table]}
    for name, content in (("scales", demo), ("science", paper)):  # JSON is YAML
        write_json(folder / "papers" / f"{name}.yaml", content)
    (folder / "data").symlink_to((project.root / "data").resolve())
    data = project.settings.data
    if data.root is not None:  # may be relative to the checkout
        data = data.model_copy(update={"root": str((project.root / Path(data.root).expanduser()).resolve())})
    settings = project.settings.model_copy(update={"scale": "demo", "reproduce": ["science"], "seeds": seeds, "data": data})
    (folder / "params.yaml").write_text(json.dumps(settings.model_dump()), encoding="utf-8")
    plan = make_plan(open_project(folder))
    write_plan(folder, plan)
    return plan


def _column(name: str, entry: MethodEntry) -> dict:
    column: dict = {"method": name, "statistic": "leader" if entry.has_leader(entry.resolve()) else "student"}
    if entry.taught:
        column["teacher"] = {"network": TEACHER, "method": "baseline"}
    if name == "snapshot":
        column |= {"statistic": "ensemble", "mix": "probabilities", "recipe": CYCLES}
    return column


def _train(run: Run, folder: Path, stop: Stop) -> None:
    from okd.training.train import train

    train(run, folder, stop=stop, may_write=lambda: None)


def _measure(plan: Plan, cell: PlannedCell, folder: Path) -> tuple[str, list[float]]:
    """The cell's statistic, and its error in percent of every seed."""
    assert cell.placed.cell is not None
    name = cell.placed.cell.statistic
    saved = [Predictions.read(Places(folder, plan.runs[run]).result / "predictions.npz") for run in cell.runs]
    return name, [statistic(name, [predictions], mix="probabilities", top=1) for predictions in saved]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
