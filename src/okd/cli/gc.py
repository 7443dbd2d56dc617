"""`okd gc`: clear what kills left behind, and what nothing needs any more."""

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer

from okd.plan.planner import make_plan
from okd.plan.settings import Project, Scale, open_project
from okd.plan.store import FILES
from okd.training.lock import holder, trainers_folders

TEMPORARY = re.compile(r"\..+\.([0-9]+)\.tmp")  # `.<name>.<process>.tmp`
KEY = re.compile(r"[0-9a-f]{12}")  # of a run's spec
YOUNG_S = 60.0  # what a living process may still need, on another machine too
SCALES = get_args(Scale)
OUR_FOLDERS = ("plan", "data", "reports", "scratch")


@dataclass(frozen=True, kw_only=True)
class Waste:
    path: Path
    why: str


def register(app: typer.Typer) -> None:
    app.command()(gc)


def gc(
    every: Annotated[bool, typer.Option("--all", help="Keep only results that params.yaml chooses now, of no other scale either.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete leftovers of kills, scratch files of finished runs, and what no cell of the papers wants any more.

    What DVC has recorded stays in its cache.
    """
    project = open_project()
    wanted, total = _wanted(project, every), 0
    for waste in [*_leftovers(project.root), *_results(project.root, wanted), *_scratch(project.root, wanted)]:
        if not waste.path.exists():  # it went with what was in it
            continue
        size = _size(waste.path)
        total += size
        typer.echo(f"{waste.path.relative_to(project.root)}: {waste.why}, {size / 1e6:.1f} MB")
        if not dry_run:
            _delete(waste.path, project.root)
    typer.echo(f"{'would free' if dry_run else 'freed'} {total / 1e6:.1f} MB")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    runs: set[tuple[str, str]]  # ids and keys
    waiting: set[str]  # ids whose keys nobody can tell: their images are not described here, or something is not built

    def __contains__(self, run: tuple[str, str]) -> bool:
        return run in self.runs or run[0] in self.waiting


def _wanted(project: Project, every: bool) -> Wanted:
    """The chosen runs, or those of any cell at any scale: a look at the demo costs no real result."""
    plans = [make_plan(project)] if every else [make_plan(project, scale=scale) for scale in SCALES]
    runs = {(run.id, run.key) for plan in plans for run in (plan.to_do if every else plan.runs.values())}
    cells = (cell for plan in plans for cell in plan.cells if not every or cell.address in plan.addresses)
    return Wanted(runs=runs, waiting={run for cell in cells for run in cell.waiting})


def _leftovers(root: Path) -> Iterator[Waste]:
    """Half-published results, results on their way out, locks of the dead, half-written files."""
    for folder in sorted((root / "results" / "new").glob("*")):
        run, _, key = folder.name.rpartition(".")
        if holder(root / "scratch" / run / key) is None:
            yield Waste(path=folder, why="never published")
    for folder in sorted((root / "results" / "old").glob("*")):
        yield Waste(path=folder, why="replaced")
    for lock in sorted(lock for folder in trainers_folders(root) for lock in folder.glob("lock*")):
        if holder(lock.parent) is None and (lock.name == "lock" or _old(lock)):
            yield Waste(path=lock, why="lock of a dead trainer")
    for file in sorted([*root.glob(".*.tmp"), *(file for name in OUR_FOLDERS for file in (root / name).rglob(".*.tmp"))]):
        match = TEMPORARY.fullmatch(file.name)
        if match and not Path("/proc", match[1]).exists() and _old(file):
            yield Waste(path=file, why="half-written")


def _results(root: Path, wanted: Wanted) -> Iterator[Waste]:
    for folder in sorted(folder for scale in SCALES for folder in (root / "results" / scale).glob("*") if folder.is_dir()):
        if not any((folder.name, result.name) in wanted for result in folder.iterdir()):
            yield Waste(path=folder, why="nothing wants it")


def _scratch(root: Path, wanted: Wanted) -> Iterator[Waste]:
    finished = {file.parent.parts[-2:] for file in (root / "results").glob(f"*/*/*/{FILES[-1]}")}
    folders = [folder for folder in sorted((root / "scratch").glob("*/*")) if KEY.fullmatch(folder.name) and folder.is_dir()]
    for folder in folders:  # and nothing else: leases of devices are there, too
        if ((name := (folder.parent.name, folder.name)) in finished or name not in wanted) and holder(folder) is None:
            yield Waste(path=folder, why="of a finished run" if name in finished else "nothing wants it")


def _old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > YOUNG_S


def _delete(path: Path, root: Path) -> None:
    home = path.parent
    if path.is_relative_to(root / "results"):  # by one rename: a kill on the way must not leave half a result
        grave = root / "results" / "old" / uuid.uuid4().hex
        grave.parent.mkdir(exist_ok=True)
        path = path.rename(grave)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    for parent in (home, path.parent):
        while parent != root and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())
