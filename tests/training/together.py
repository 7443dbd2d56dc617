"""Processes of one run, forked from the test: each gets torchrun's variables, and says how it ended."""

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from okd.training.stop import Stopped

WAIT_S = "3"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Together:
    """What `body(rank)` returns lies in `folder/<rank>.pt`; `codes` are exit codes as `okd train` has them, -9 where it was killed."""

    folder: Path
    pids: dict[int, int] = field(default_factory=dict)
    codes: dict[int, int] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)

    def start(self, count: int, body: Callable[[int], Any], *, only: int | None = None) -> "Together":
        port = str(free_port())
        self.folder.mkdir(parents=True, exist_ok=True)
        for rank in range(count):
            if only in (None, rank):
                self.pids[rank] = self._fork(rank, count, body, port)
        return self

    def _fork(self, rank: int, count: int, body: Callable[[int], Any], port: str) -> int:
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        code = 1
        try:
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OKD_WAIT_S": WAIT_S}
            torch.save(body(rank), self.folder / f"{rank}.pt")
            code = 0
        except Stopped as stopped:
            (self.folder / f"{rank}.txt").write_text(str(stopped))
            code = 75
        except BaseException:
            (self.folder / f"{rank}.txt").write_text(traceback.format_exc())
        finally:
            os._exit(code)  # nothing of pytest's may run here

    def kill(self, rank: int, number: int = signal.SIGKILL) -> float:
        os.kill(self.pids[rank], number)
        return time.monotonic()

    def wait(self, *ranks: int, limit_s: float = 60.0) -> "Together":
        """For these processes, or all; what is left after the limit is killed, and the test fails."""
        waiting, end = set(ranks or self.pids), time.monotonic() + limit_s
        while waiting:
            for rank in sorted(waiting):
                pid, status = os.waitpid(self.pids[rank], os.WNOHANG)
                if pid:
                    self.codes[rank], self.ended[rank] = os.waitstatus_to_exitcode(status), time.monotonic()
                    file = self.folder / f"{rank}.txt"
                    self.words[rank] = file.read_text() if file.exists() else ""
                    waiting.discard(rank)
            if waiting and time.monotonic() > end:
                for rank in waiting:
                    os.kill(self.pids[rank], signal.SIGKILL)
                raise AssertionError(f"processes {waiting} did not end in {limit_s} s")
            time.sleep(0.01)
        return self

    def results(self) -> list[Any]:
        assert set(self.codes.values()) == {0}, self.words
        return [torch.load(self.folder / f"{rank}.pt", weights_only=True) for rank in sorted(self.pids)]
