"""A trainer's turn on a SLURM cluster: warned ahead of its job's end, it saves and has the job put back into the queue. No torch here.

`sbatch --signal` cannot do it: it reaches the batch shell alone, which dies of it, or only what `srun` started.
"""

import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass

from okd.training.stop import Stop

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Allocation:
    """A job that may be put back; `ahead_s` before its end a trainer in it gets SIGUSR1."""

    job: str
    ahead_s: float

    @staticmethod
    def here() -> "Allocation | None":
        """The SLURM job of this process, where profiles/slurm says that it may be put back."""
        job, ahead = os.environ.get("SLURM_JOB_ID"), os.environ.get("OKD_REQUEUE_AHEAD", "")
        return Allocation(job, float(ahead)) if job and ahead.isdigit() else None

    def warn(self) -> None:
        """Let SIGUSR1 come in time, but never in the first half of what is left: each turn must bring the run further."""
        if (left := seconds(_ask("squeue", "--noheader", "--format=%L", f"--jobs={self.job}"))) is not None:
            timer = threading.Timer(max(left - self.ahead_s, left / 2), os.kill, (os.getpid(), signal.SIGUSR1))
            timer.daemon = True
            timer.start()

    def put_back(self, stop: Stop) -> None:
        """Where it was warned: SLURM ends this job, and starts it again when its turn comes."""
        if stop.reason == signal.SIGUSR1.name:
            _ask("scontrol", "requeue", self.job)


def seconds(words: str) -> float | None:
    """SLURM's [days-][hours:]minutes:seconds; None for UNLIMITED and other words."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", words.strip())
    if match is None:
        return None
    days, hours, minutes, rest = (int(number or 0) for number in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + rest


def _ask(*command: str) -> str:
    """What SLURM says; empty where it does not answer, and then the limit ends the job and the engine tries again."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
