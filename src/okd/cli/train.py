"""`okd train`: what both engines call for one run."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from okd.cli.codes import Failed
from okd.cli.options import Log
from okd.data.arrays import DataError, Manifest, manifest_file
from okd.data.datasets import require_accepted
from okd.plan.catalog import catalog
from okd.plan.run import Run
from okd.plan.settings import Devices, open_project
from okd.plan.store import Index, Places, write_json
from okd.training.allocation import Allocation
from okd.training.failure import in_words
from okd.training.lease import Lease, lease_folder, visible_devices
from okd.training.lock import RunLock
from okd.training.stop import Stop, Stopped

LARGE_PIXELS = 128  # from this height of the images on a training has a device to itself


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A planned run.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End with 75 instead of waiting for another trainer of this run.")] = False,
    log: Log = None,
) -> None:
    """Train one run, or go on with it; a finished one is left alone. Ends with 75 when it was stopped and can be resumed."""
    stop = Stop()
    project = open_project()
    run = Index(project.root).run(run_id)
    places = Places(project.root, run)
    if _already_done(places):
        return
    lock = RunLock(places.scratch)
    lock.acquire(stop, wait=not no_wait, say=lambda line: typer.echo(f"{run.id}: {line}", err=True))
    lease = lease_of(project.root, run, project.settings.devices)
    allocation = Allocation.here()
    try:
        if _already_done(places):
            return
        require_accepted(Manifest.read(manifest_file(project.root, run.dataset.name)), project.settings.data)
        if allocation:
            allocation.warn()
        lease.acquire(stop)
        places.failure.unlink(missing_ok=True)
        from okd.training.numerics import prepare_environment

        prepare_environment()
        from okd.training.train import train as train_run

        status = train_run(run, project.root, stop=stop, may_write=lock.check)
        typer.echo(f"{run.id}: {status}", err=True)
    except Stopped:
        raise
    except Exception as error:
        words = in_words(error)
        if lock.owned():
            _note(places, words)
        if isinstance(error, DataError | OSError | ValueError):
            raise
        file = places.failure.relative_to(project.root)
        raise Failed(f"{run.id}: {words} (all of it: {file}); again: dvc repro train@{run.id}") from error
    finally:
        lease.release()
        lock.release()
        if allocation and not places.finished():
            allocation.put_back(stop)


def lease_of(root: Path, run: Run, devices: Devices) -> Lease:
    """A slot; for images of ImageNet's size all slots of a device."""
    large = catalog().datasets[run.dataset.name].size >= LARGE_PIXELS
    return Lease(lease_folder(root / "scratch"), visible_devices(), devices.slots, takes=devices.slots if large else 1)


def _note(places: Places, words: str) -> None:
    """Leave failure.json; a disk that is full must not hide why the run failed."""
    with suppress(OSError):
        write_json(places.failure, {"id": places.run.id, "key": places.run.key, "error": words, "traceback": traceback.format_exc()})


def _already_done(places: Places) -> bool:
    done = places.finished()
    if done:
        places.mend_key()
        typer.echo(f"{places.run.id}: already done", err=True)
    return done
