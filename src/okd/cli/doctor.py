"""`okd doctor`: what this machine has, what is missing, and what to type."""

import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from okd.cli.options import Json
from okd.plan.planner import make_plan
from okd.plan.settings import Project, find_root, open_project
from okd.plan.source import Faults
from okd.plan.store import Index, Places, index_of
from okd.training.lease import visible_devices
from okd.training.lock import holder, trainers_folders

PACKAGES = ("torch", "torchvision", "snakemake", "dvc")
ROOMY_BYTES = 5e9


@dataclass(frozen=True, kw_only=True)
class Finding:
    what: str
    type: str = ""  # the remedy; empty where all is well


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Look at machine, packages, data, locks and leftovers; ends with 1 where there is something to type."""
    root = find_root()
    findings = [*_machine(root), *_packages(), *_project(root), *_engines(root), *_leftovers(root)]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if not finding.type else '!   '}{finding.what}" + (f"; type: {finding.type}" if finding.type else ""))
    raise typer.Exit(int(any(finding.type for finding in findings)))


def _machine(root: Path) -> Iterator[Finding]:
    yield Finding(what=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    devices = visible_devices()
    yield Finding(what=f"{len(devices)} GPUs: {', '.join(devices)}" if devices else "no GPU: trainings run on the CPU, one a core")
    free = shutil.disk_usage(root).free
    yield Finding(what=f"{free / 1e9:.0f} GB of disk are free here", type="okd gc" if free < ROOMY_BYTES else "")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(what=f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(what=f"{name} is not installed", type="make setup")


def _project(root: Path) -> Iterator[Finding]:
    """Settings, plan, data."""
    try:
        project = open_project(root)
        plan = make_plan(project)
    except Faults as faults:
        yield from (Finding(what=str(fault), type="okd plan, once that line is mended") for fault in faults.faults)
        return
    index = Index(root)
    try:
        scale, runs = index.content.get("scale"), index.all_runs()
    except ValueError as problem:
        yield Finding(what=str(problem), type="okd plan")
        return
    if scale != project.settings.scale:
        yield Finding(what=f"plan/ is at scale {scale}, params.yaml at {project.settings.scale}", type="okd plan")
        return
    if index.content != index_of(plan):
        yield Finding(what="params.yaml, papers/, the catalog or one's own images have changed since plan/ was written", type="okd plan")
    done = sum(Places(root, run).finished() for run in runs)
    yield Finding(what=f"scale {project.settings.scale}: {done} of {len(runs)} runs are done")
    failed = [run for run in runs if Places(root, run).failure.exists() and not Places(root, run).finished()]
    if failed:
        yield Finding(what=f"{len(failed)} runs failed", type="okd status")
    yield from _data(project, {run.dataset.name for run in runs})


def _data(project: Project, names: set[str]) -> Iterator[Finding]:
    for name in sorted(names):
        manifest, ready = project.root / "data" / f"{name}.manifest.json", project.root / "data" / name / "READY"
        if manifest.exists() and ready.exists():
            yield Finding(what=f"data set {name} is here and was checked")
        else:
            yield Finding(what=f"data set {name} is {'not checked' if manifest.exists() else 'not here'}", type=f"okd fetch {name}")


def _engines(root: Path) -> Iterator[Finding]:
    """Locks of Snakemake outlive it; DVC's end with it, and while a stage runs it holds none on the whole."""
    if any((root / ".snakemake" / "locks").glob("*")):
        owner = _at_work("snakemake", root)
        words = f"Snakemake is at work here (process {owner})" if owner else "Snakemake was killed here and its folder is locked"
        yield Finding(what=words, type="" if owner else "snakemake --unlock")
    if owner := _at_work("dvc", root):
        yield Finding(what=f"dvc is at work here (process {owner})")


def _at_work(program: str, root: Path) -> int | None:
    """A process of this program in this folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if any(Path(os.fsdecode(word)).name == program for word in command[:2]) and (entry / "cwd").resolve() == root:
                return int(entry.name)
        except OSError:
            continue
    return None


def _leftovers(root: Path) -> Iterator[Finding]:
    for folder in (folder for folder in trainers_folders(root) if (folder / "lock").exists()):
        owner, run = holder(folder), folder.relative_to(root / "scratch").parts[0]
        if owner:
            yield Finding(what=f"{run} is being trained by {owner}")
        else:
            yield Finding(what=f"{run} has the lock of a dead trainer; the next one takes it over", type="okd gc")
    corrupt = sorted((root / "scratch").glob("*/*/*.corrupt"))
    if corrupt:
        where = ", ".join(sorted({file.parents[1].name for file in corrupt}))
        yield Finding(what=f"{len(corrupt)} damaged resume files were set aside ({where}): this disk may be failing", type="okd verify")
    half = [folder for name in ("new", "old") for folder in (root / "results" / name).glob("*")]
    if half and not any((root / "scratch").glob("*/*/lock")):
        yield Finding(what=f"{len(half)} folders of killed trainers lie in results/new and results/old", type="okd gc")
