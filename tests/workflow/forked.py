"""Programs run by a fork of a process that has loaded their libraries: each start of an engine costs seconds of imports, a fork none.

Everything else is as in a process of its own: session, folder, environment, exit code. Whatever is signalled or killed while it works is
started as people start it (`Checkout.start`).
"""

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

MAINS = {"snakemake": "snakemake.cli:main", "dvc": "dvc.cli:main", "okd": "stub:main"}
# what they load at their first use only
LATER = (
    *("snakemake.api", "snakemake.workflow", "snakemake.executors.local", "snakemake.report", "pulp", "pandas"),
    *("dvc.repo.index", "dvc.repo.commit", "dvc.repo.open_repo", "dvc.repo.params", "dvc.lock", "dvc.rwlock", "dvc.compare"),
    *("dvc.utils.strictyaml", "dvc_data.index", "dvc_data.hashfile.db.local", "networkx"),
    *("sklearn.datasets", "okd.cli.plan", "okd.training.publish"),
)


def run_forked(command: list[str], folder: Path, environment: Mapping[str, str], files: tuple[Path, Path], patience_s: int) -> int:
    """Run to the end; standard output and error go to the files. The exit code, negative after a signal, an alarm after `patience_s`."""
    server = _server()
    assert server.stdin and server.stdout
    request = {
        "command": command,
        "folder": str(folder),
        "environment": dict(environment),
        "files": [str(file) for file in files],
        "patience_s": patience_s,
    }
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _server() -> "subprocess.Popen[str]":
    """One for this process; it ends when this process closes its end of the pipe."""
    command = [sys.executable, str(Path(__file__))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _serve() -> None:
    mains = {program: _function(place) for program, place in MAINS.items()}
    for program in ("snakemake", "dvc"):  # their parsers load every plugin and command
        sys.argv = [program, "--version"]
        with suppress(SystemExit), Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            mains[program]()
    for name in LATER:
        import_module(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
            _end(mains[request["command"][0]])
        _, status = os.waitpid(pid, 0)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _end(main: Callable[[], int | None]) -> NoReturn:
    """Without taking down some thousand modules one by one, which costs as much as loading them."""
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _function(place: str) -> Callable[[], int | None]:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _become(request: dict) -> None:
    os.setsid()
    signal.alarm(request["patience_s"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, file in enumerate((os.devnull, *request["files"])):
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = request["command"]


if __name__ == "__main__":
    _serve()
