"""Rows C1 to C3: full and failing disks. One line with the file, what it needed and what is free; 74; the last checkpoint is intact."""

import errno
import os
import re
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from child import Child, Hook, Nursery, after, before
from tiny import Trial

import okd.cli
from okd.training import checkpoint, disk, progress, publish
from okd.training.entries import read_index
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)
RUN = "resnet8-one-students.2-ramp-up.2"
NTH = 3  # the save that fails


def saves(file: Path, *_: Any) -> bool:
    return file.name.startswith(".resume-")


def limit(size: int) -> Callable[[], None]:
    """No file of this process may grow beyond so many bytes: what a full disk does, without one."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def check_refused(child: Child, one: Trial, *, names: str, step: int | None = NTH - 1) -> None:
    """74 and one line; what was saved before is whole; nothing is marked done; nothing half-written is left."""
    assert child.code == 74, child.text
    lines = child.lines("okd: ")
    assert len(lines) == 1, child.text
    assert re.search(rf"{names}.*: .+ \(\d+ bytes needed, (\d+|None) free\)$", lines[0]), lines[0]
    assert "Traceback" not in child.text
    assert not one.places.finished()
    assert one.temporaries() == []
    if step is not None:
        entries = read_index(one.scratch)
        assert entries
        assert entries[0].step == step
        assert [entry.problem(one.scratch) for entry in entries] == [None] * len(entries)


def check_goes_on(nursery: Nursery, one: Trial, wanted: str) -> None:
    again = nursery.train(one)
    assert again.code == 0, again.text
    assert one.bits() == wanted
    assert not one.places.failure.exists()


@pytest.mark.parametrize("percent", [50, *(pytest.param(value, marks=pytest.mark.slow) for value in (0, 10, 99))])
def test_the_disk_is_full_while_it_saves(
    percent: int, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = trial(RUN)
    wanted = whole(one)
    nursery.train(one, hooks=[after(_Sitting, "after_step", lambda: os.kill(os.getpid(), signal.SIGKILL), nth=1)])
    entries = read_index(one.scratch)
    assert entries
    one.fresh()
    size = entries[0].bytes * percent // 100
    terminal = before(okd.cli, "exit_code", limit(resource.RLIM_INFINITY))  # what it says goes to no disk
    child = nursery.train(one, hooks=[before(disk, "write_durably", limit(size), nth=NTH, only=saves), terminal])
    check_refused(child, one, names="resume-")
    check_goes_on(nursery, one, wanted)


def test_the_disk_is_full_while_it_publishes(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[before(publish, "_publish", limit(20_000))])
    check_refused(child, one, names="weights.safetensors", step=20)
    assert "File too large" in child.text
    check_goes_on(nursery, one, wanted)


@pytest.mark.slow
def test_little_space_is_noticed_before_it_is_gone(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)

    def full() -> None:
        shutil.disk_usage = lambda path: SimpleNamespace(free=1000)  # type: ignore[assignment]

    child = nursery.train(one, hooks=[before(checkpoint, "save", full, nth=NTH)])
    check_refused(child, one, names="resume-")
    assert "No space left on device" in child.text
    assert "1000 free" in child.text
    check_goes_on(nursery, one, wanted)


def failing(number: int) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def syncs(descriptor: int) -> bool:
    return "/.resume-" in str(Path(f"/proc/self/fd/{descriptor}").readlink())


class Torn:
    """A file that takes half of what is written and fails."""

    def __init__(self, handle: Any, number: int) -> None:
        self.handle, self.number = handle, number

    def __enter__(self) -> "Torn":
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.close()

    def write(self, raw: bytes) -> NoReturn:
        self.handle.write(raw[: len(raw) // 2])
        failing(self.number)()


def torn(number: int) -> Hook:
    def install() -> None:
        plain, calls = Path.open, [0]

        def open_file(self: Path, *positional: Any, **named: Any) -> Any:
            handle = plain(self, *positional, **named)
            calls[0] += saves(self)
            return Torn(handle, number) if saves(self) and calls[0] == NTH else handle

        Path.open = open_file  # type: ignore[method-assign]

    return install


CALLS: dict[str, Callable[[int], Hook]] = {
    "open": lambda number: before(Path, "open", failing(number), nth=NTH, only=saves),
    "write": torn,
    "fsync": lambda number: before(os, "fsync", failing(number), nth=NTH, only=syncs),
    "rename": lambda number: before(Path, "replace", failing(number), nth=NTH, only=saves),
}
SAMPLE = {("write", errno.EIO)}


@pytest.mark.parametrize(
    ("call", "number"),
    [
        pytest.param(call, number, id=f"{call}-{errno.errorcode[number]}", marks=() if (call, number) in SAMPLE else pytest.mark.slow)
        for call in CALLS
        for number in (errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)
    ],
)
def test_a_call_fails(call: str, number: int, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[CALLS[call](number)])
    check_refused(child, one, names="resume-")
    assert os.strerror(number) in child.text
    check_goes_on(nursery, one, wanted)


@pytest.mark.slow
def test_the_folder_is_gone(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[before(disk, "write_durably", lambda: shutil.rmtree(one.scratch), nth=NTH, only=saves)])
    check_refused(child, one, names="resume-", step=None)
    check_goes_on(nursery, one, wanted)


@pytest.mark.parametrize("name", ["history.csv", *(pytest.param(other, marks=pytest.mark.slow) for other in ("predictions.npz", "key"))])
def test_metrics_cannot_be_written(name: str, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[before(Path, "open", failing(errno.EROFS), nth=1, only=lambda file, *_: file.name == name)])
    check_refused(child, one, names=name, step=20)
    check_goes_on(nursery, one, wanted)


@pytest.mark.slow
def test_progress_cannot_be_written(nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(RUN)
    wanted = whole(one)
    child = nursery.train(one, hooks=[before(progress, "write_json", failing(errno.EACCES), nth=1)])
    check_refused(child, one, names="progress.json", step=None)
    check_goes_on(nursery, one, wanted)


def test_the_log_cannot_be_opened(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial(RUN).fresh()
    (one.root / "a folder").mkdir()
    child = nursery.train(one, "--log", "a folder")
    assert (child.code, child.steps) == (2, 0), child.text
    assert child.lines("okd: ") == ["okd: --log a folder: Is a directory"]
