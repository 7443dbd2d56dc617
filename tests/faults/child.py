"""`okd train` in a forked process: torch is imported once, so a trial costs a fraction of a second. Faults are patched into the child."""

import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tiny import Trial, reader_for

import okd.cli.train
import okd.data.feed
import okd.training.train
from okd.cli import app, main
from okd.training.stop import SIGNALS

PATIENCE_S = 120.0  # for machines that are busy
Hook = Callable[[], None]  # run in the child before it trains


@dataclass
class Child:
    """A process that trains; `steps` is how many it has told of, one byte each."""

    pid: int
    out: Path
    pipe: int
    steps: int = 0
    code: int | None = None
    ended: float = 0.0

    def wait_for_steps(self, count: int) -> bool:
        """Until it has taken so many steps; False where it ended before."""
        while self.steps < count:
            if not (seen := os.read(self.pipe, 4096)):
                return False
            self.steps += len(seen)
        return True

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> "Child":
        end = time.monotonic() + PATIENCE_S
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code, self.ended = os.waitstatus_to_exitcode(status), time.monotonic()
            elif time.monotonic() > end:
                self.send(signal.SIGKILL)
                raise AssertionError(f"never ended:\n{self.text}")
            else:
                time.sleep(0.002)
        while self.pipe >= 0 and (seen := os.read(self.pipe, 4096)):
            self.steps += len(seen)
        self.close()
        return self

    def close(self) -> None:
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    @property
    def text(self) -> str:
        return self.out.read_text()

    def lines(self, word: str = "") -> list[str]:
        """What it told people, one line a fact."""
        return [line for line in self.text.splitlines() if word in line]


@dataclass
class Nursery:
    """Starts children and leaves none behind."""

    folder: Path
    device: str = "cpu"
    children: list[Child] = field(default_factory=list)

    def start(
        self,
        trial: Trial,
        *arguments: str,
        hooks: Sequence[Hook] = (),
        save_every_s: float = -1.0,
        verb: str = "train",
    ) -> Child:
        """Fork a process that trains. It saves after every step where not told otherwise."""
        read, write = os.pipe()
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".out")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork where there are threads: they are pytest's
            pid = os.fork()
        if pid == 0:
            code = 99
            try:
                os.close(read)
                _settle(handle, write, trial, save_every_s, self.device)
                for hook in hooks:
                    hook()
                code = _run(["okd", verb, *([trial.run.id] if verb == "train" else []), *arguments])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(write)
        os.close(handle)
        child = Child(pid, Path(name), read)
        self.children.append(child)
        return child

    def train(self, trial: Trial, *arguments: str, hooks: Sequence[Hook] = (), save_every_s: float = -1.0) -> Child:
        """Fork one and wait for its end."""
        return self.start(trial, *arguments, hooks=hooks, save_every_s=save_every_s).wait()

    def say(self, trial: Trial, verb: str, *arguments: str) -> Child:
        """Another verb of the command line, in the run's project."""
        return self.start(trial, *arguments, verb=verb).wait()

    def whole(self, trial: Trial) -> str:
        """The bits of the run, never stopped."""
        child = self.train(trial.fresh(), save_every_s=1e9)
        assert child.code == 0, child.text
        return trial.bits()

    def end(self) -> None:
        for child in self.children:
            if child.code is None:
                child.send(signal.SIGKILL)
                child.wait()


def _settle(out: int, ticks: int, trial: Trial, save_every_s: float, device: str) -> None:
    """Make the fork a process of its own: no signal handlers, streams or folders of the tests."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1)  # type: ignore[misc]
    os.chdir(trial.root)
    os.environ["OKD_DEVICES"] = ""
    torch.set_num_threads(1)
    app.registered_commands.clear()
    okd.data.feed.read_arrays = reader_for(trial.run)
    okd.training.train.choose_device = lambda: torch.device(device)
    okd.training.train.SAVE_EVERY_S = save_every_s
    okd.training.train.clear = lambda _: None  # a finished run's last state is compared with others'
    before(okd.training.train._Sitting, "after_step", lambda: os.write(ticks, b"."))()


def _run(command: list[str]) -> int:
    sys.argv = command
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, do: Callable[[], Any], *, nth: int | None = None, only: Callable[..., bool] = lambda *_: True) -> Hook:
    """Do something before the nth call that `only` picks, or before each."""
    return _around(owner, name, do, None, nth, only)


def after(owner: Any, name: str, do: Callable[[], Any], *, nth: int | None = None, only: Callable[..., bool] = lambda *_: True) -> Hook:
    return _around(owner, name, None, do, nth, only)


def _around(owner: Any, name: str, first: Any, then: Any, nth: int | None, only: Callable[..., bool]) -> Hook:
    def install() -> None:
        plain, calls = getattr(owner, name), [0]

        def wrapper(*positional: Any, **named: Any) -> Any:
            picked = only(*positional)
            calls[0] += picked
            now = picked and nth in (None, calls[0])
            if now and first:
                first()
            value = plain(*positional, **named)
            if now and then:
                then()
            return value

        setattr(owner, name, wrapper)

    return install
