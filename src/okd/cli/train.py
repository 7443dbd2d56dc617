"""`okd train`: what both engines call for one run."""

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from okd.cli.codes import Failed
from okd.cli.options import Log
from okd.data.arrays import DataError, Manifest, manifest_file
from okd.data.datasets import require_accepted
from okd.data.images import require_planned
from okd.plan.catalog import catalog
from okd.plan.run import Run
from okd.plan.settings import Devices, Project, open_project
from okd.plan.store import Index, Places, write_json
from okd.training.allocation import Allocation
from okd.training.distributed.place import Place, Split, shares
from okd.training.failure import in_words
from okd.training.lease import Lease, WholeDevices, lease_folder, visible_devices
from okd.training.lock import RunLock
from okd.training.stop import Stop, Stopped

ALONE = "0/1"
LARGE_PIXELS = 128  # from this height of the images on a training has a device to itself


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A planned run.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End with 75 instead of waiting for another trainer of this run.")] = False,
    processes: Annotated[
        int, typer.Option("--processes", min=1, envvar="OKD_PROCESSES", help="Start so many processes here by torchrun, one a GPU.")
    ] = 1,
    split: Annotated[
        Split, typer.Option("--split", envvar="OKD_SPLIT", help="What they share out: every batch, or the students (MD, EC-DNN).")
    ] = Split.BATCH,
    exchange: Annotated[
        Path | None, typer.Option("--exchange", metavar="FOLDER", help="A folder that all nodes see, where they leave their soft labels.")
    ] = None,
    node: Annotated[
        str, typer.Option("--node", metavar="I/N", help="With --exchange: this is node I (from 0) of N; each has some of the students.")
    ] = ALONE,
    log: Log = None,
) -> None:
    """Train one run, or go on with it; a finished one is left alone. Ends with 75 when it was stopped and can be resumed."""
    stop = Stop()
    project = open_project()
    run = Index(project.root).run(run_id)
    place = _place(run, node, exchange, split, processes)
    places = Places(project.root, run)
    require_planned(run, project.root)  # first of all: an engine that knows the manifest has changed must not hear "already done"
    if _already_done(places):
        return
    if processes > 1 and place.alone:
        _launch(run, project, stop, processes, log)
        return
    lock = RunLock(place.scratch(places.scratch)) if place.saves else None
    devices = visible_devices()
    lease = lease_of(project.root, run, project.settings.devices, [] if place.started else devices)
    allocation = Allocation.here() if place.alone else None
    try:
        if lock:
            lock.acquire(stop, wait=not no_wait, say=lambda line: typer.echo(f"{run.id}: {line}", err=True))
        if _already_done(places):
            return
        require_accepted(Manifest.read(manifest_file(project.root, run.dataset.name)), project.settings.data)
        if allocation:
            allocation.warn()
        lease.acquire(stop)
        if place.started and devices:
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[place.local_rank]
        places.failure.unlink(missing_ok=True)
        status = _train(run, project, place, stop, lock)
        if place.first:
            typer.echo(f"{run.id}: {status}", err=True)
        elif place.saves:
            typer.echo(f"{run.id}: node {place.rank} of {place.count} has done its part; node 0 publishes the result", err=True)
    except Stopped:
        raise
    except Exception as error:
        words = in_words(error)
        if lock and lock.owned():
            _note(places, words)
        if isinstance(error, DataError | OSError | ValueError):
            raise
        file = places.failure.relative_to(project.root)
        raise Failed(f"{run.id}: {words} (all of it: {file}); again: dvc repro train@{run.id}") from error
    finally:
        lease.release()
        if lock:
            lock.release()
        if allocation and not places.finished():
            allocation.put_back(stop)


def _place(run: Run, node: str, exchange: Path | None, split: Split, processes: int) -> Place:
    """Raises ValueError where the run cannot be shared out so, before anything is started or locked."""
    if exchange is None and node != ALONE:
        raise ValueError(f"--node {node}: say --exchange FOLDER, too, where the nodes meet")
    if exchange and node == ALONE:
        raise ValueError(f"--exchange {exchange}: say --node I/N, too, which node this is")
    if exchange and processes > 1:
        raise ValueError(f"--exchange {exchange}: a node is one process here; leave --processes {processes} out")
    place = Place.named(node, exchange) if exchange else Place.here(split)
    count = processes if place.alone else place.count
    if count > 1 and place.split is Split.STUDENTS:
        shares(run, count)
    return place


def lease_of(root: Path, run: Run, settings: Devices, devices: list[str]) -> Lease:
    """A slot; for images of ImageNet's size all slots of a device."""
    large = catalog().datasets[run.dataset.name].size >= LARGE_PIXELS
    return Lease(lease_folder(root / "scratch"), devices, settings.slots, takes=settings.slots if large else 1)


def _train(run: Run, project: Project, place: Place, stop: Stop, lock: RunLock | None) -> str:
    from okd.training.numerics import prepare_environment

    prepare_environment()
    together: dict[str, Any] = {}
    if not place.alone:
        from okd.training.distributed.company import company

        together = {"processes": company(place, run, stop)}
    from okd.training.train import train as train_run

    return train_run(run, project.root, stop=stop, may_write=lock.check if lock else lambda: None, **together)


def _launch(run: Run, project: Project, stop: Stop, processes: int, log: Path | None) -> None:
    from okd.training.distributed.launch import launch

    devices = WholeDevices(lease_folder(project.root / "scratch"), visible_devices(), project.settings.devices.slots, processes)
    devices.acquire(stop)
    try:
        launch(sys.argv[1:], processes, stop)
    finally:
        devices.release()


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
