"""Starting the processes of one run on this machine, each with a device of its own: torchrun, called as a library.

The process that starts them owns nothing but them: it hands a signal on, and ends as the first of them that failed.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from okd.training.stop import Stop, Stopped

WATCH_S = 0.5
RESUMABLE = 75


class Ended(Exception):
    """The processes ended with this exit code, and the one that failed has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a process of this run ended with {code}")
        self.code = code


def launch(arguments: Sequence[str], count: int, stop: Stop) -> None:
    """Run `okd ARGUMENTS` in so many processes until all have ended. Raises Stopped where the run can be resumed, else Ended."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ["OKD_PARENT"] = str(os.getpid())  # what started this process is watched here
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
        monitor_interval=0.1,
    )
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        elastic_launch(config, sys.executable)("-m", "okd", *arguments)
    except SignalException as asked:
        raise Stopped(f"stopped ({asked.sigval.name}) with all its processes; the last checkpoint stands") from None
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        if failure.exitcode < 0 or failure.exitcode == RESUMABLE:
            words = f"was killed by signal {-failure.exitcode}" if failure.exitcode < 0 else "stopped"
            raise Stopped(f"process {rank} of {count} {words}; the last checkpoint stands") from None
        raise Ended(failure.exitcode) from None


def _watch(stop: Stop) -> None:
    """The end of what started this process ends them all."""
    while not stop.wanted:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)
