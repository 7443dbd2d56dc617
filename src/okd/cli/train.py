"""`okd train`: what both engines call for one run."""

from typing import Annotated

import typer

from okd.plan.settings import open_project
from okd.plan.store import Index, Places, write_json
from okd.training.lease import Lease, visible_devices
from okd.training.lock import RunLock
from okd.training.stop import Stop, Stopped


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A planned run.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End with 75 instead of waiting for another trainer of this run.")] = False,
) -> None:
    """Train one run, or go on with it; a finished one is left alone. Ends with 75 when it was stopped and can be resumed."""
    stop = Stop()
    project = open_project()
    run = Index(project.root).run(run_id)
    places = Places(project.root, run)
    if places.finished():
        typer.echo(f"{run.id}: already done", err=True)
        return
    lock = RunLock(places.scratch)
    lock.acquire(stop, wait=not no_wait, say=lambda line: typer.echo(f"{run.id}: {line}", err=True))
    lease = Lease(project.root / "scratch" / "devices", visible_devices(), project.settings.devices.slots)
    try:
        if places.finished():
            typer.echo(f"{run.id}: already done", err=True)
            return
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
        write_json(places.failure, {"id": run.id, "key": run.key, "error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        lease.release()
        lock.release()
