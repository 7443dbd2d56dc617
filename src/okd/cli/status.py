"""`okd status`: how far the planned runs are, from their own small files."""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.evaluation.outcomes import outcome
from okd.evaluation.records import RunRecord
from okd.plan.run import Run
from okd.plan.settings import find_root
from okd.plan.store import Index, Places, read_json
from okd.training.entries import INDEX
from okd.training.lock import holder
from okd.training.progress import Snapshot, duration, sentence

LOOK_EVERY_S = 2.0
UNDER_WAY = ("running", "stopped")
NOTICE_S = 0.1  # until it notices that the engine is gone


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until all is done, or the process that started this ends.")] = False,
    as_json: Json = False,
) -> None:
    """Show the planned runs: done, running, stopped, failed, not run."""
    root = find_root()
    if watch:
        _watch(root, as_json=as_json)
        return
    runs = Index(root).all_runs()
    records = [_now(root, run) for run in runs]
    if as_json:
        progress = [
            read_json(Places(root, run).progress) if record.state in UNDER_WAY else None for run, record in zip(runs, records, strict=True)
        ]
        typer.echo(json.dumps([record.model_dump() | {"progress": seen} for record, seen in zip(records, progress, strict=True)]))
        return
    for record in records:
        typer.echo(f"{record.state:9} {record.id}  {record.detail}".rstrip())
    typer.echo(_counts(records))


def _now(root: Path, run: Run) -> RunRecord:
    """What is known of a run; whether somebody trains it is known from its lock, on whichever machine."""
    record, places = outcome(root, run).record, Places(root, run)
    if record.state not in ("running", "not run"):
        return record
    progress, owner = read_json(places.progress), holder(places.scratch)
    try:
        far = sentence(Snapshot(**progress)).partition(": ")[2].strip() if progress else "starting"
    except (TypeError, ValueError):
        far = "its progress file is damaged"
    if owner:
        return record.model_copy(update={"state": "running", "detail": f"{far}; {owner}"})
    if (places.scratch / INDEX).exists():
        return record.model_copy(
            update={"state": "stopped", "detail": f"{far.partition(', error')[0].partition(', ')[0]}; the same command resumes"}
        )
    return record.model_copy(update={"state": "not run", "detail": ""})


def _counts(records: list[RunRecord]) -> str:
    return (
        ", ".join(f"{count} {state}" for state, count in sorted(Counter(record.state for record in records).items()))
        or "nothing is planned"
    )


def _watch(root: Path, *, as_json: bool) -> None:
    """A line that is redrawn on a terminal; elsewhere a line for every tenth of the runs and epochs done. As JSON, an object a look."""
    by_engine = "OKD_PARENT" in os.environ  # with which it ends, and which has more to say after Ctrl-C
    signal.signal(signal.SIGINT, signal.SIG_IGN if by_engine else signal.SIG_DFL)
    runs, started = Index(root).all_runs(), time.monotonic()
    parent = int(os.environ.get("OKD_PARENT", os.getppid()))
    terminal, tenth, first = sys.stderr.isatty(), -1, None
    while runs and os.getppid() == parent:
        done, share, running = _look(root, runs)
        first = share if first is None else first
        elapsed = time.monotonic() - started
        left = f", about {duration(elapsed / (share - first) * (1 - share))} left" if share > first + 0.02 else ""
        line = f"okd: {done} of {len(runs)} runs done, {share:.0%}{left}" + (f"; {'; '.join(running)}" if running else "")
        if as_json:
            print(json.dumps({"done": done, "runs": len(runs), "share": share, "running": running}), flush=True)
        elif terminal:
            print(f"\r{line[:160]}\x1b[K", end="", file=sys.stderr, flush=True)
        elif int(share * 10) > tenth:
            print(line, file=sys.stderr, flush=True)
        tenth = max(tenth, int(share * 10))
        if done == len(runs):
            break
        for _ in range(int(LOOK_EVERY_S / NOTICE_S)):
            if os.getppid() == parent:
                time.sleep(NOTICE_S)
    if terminal and not as_json:
        print(file=sys.stderr)


def _look(root: Path, runs: list[Run]) -> tuple[int, float, list[str]]:
    """Runs done, the share of all epochs done, and a word on each run in progress."""
    done, epochs, running = 0, 0.0, list[str]()
    for run in runs:
        places = Places(root, run)
        if places.finished():
            done, epochs = done + 1, epochs + run.recipe.epochs
        elif (progress := read_json(places.progress)) and holder(places.scratch):
            epochs += progress["fraction"] * run.recipe.epochs
            running.append(f"{run.id} epoch {progress['epoch']} of {progress['epochs']}")
    return done, epochs / sum(run.recipe.epochs for run in runs), running
