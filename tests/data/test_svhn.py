"""Row F4: SVHN's .mat files, read by a process of its own, since scipy's reader crashes on some damaged ones."""

import faulthandler
import io
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from okd.data import svhn as module
from okd.data.arrays import DataError
from okd.data.matlab import convert, limit
from okd.data.svhn import FILES, ROWS, read, svhn

RANDOM = np.random.default_rng(0)
COUNT = 40
PIXELS = RANDOM.integers(0, 256, (32, 32, 3, COUNT), dtype=np.uint8)
DIGITS = (np.arange(COUNT, dtype=np.uint8) % 10 + 1)[:, None]


def mat(file: Path, *, compressed: bool = True, **held: Any) -> Path:
    savemat(file, {"X": PIXELS, "y": DIGITS} | held, do_compression=compressed)
    return file


def test_images_are_channel_first_and_ten_is_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in FILES:
        mat(tmp_path / file.name)
        monkeypatch.setitem(ROWS, file.name, COUNT)
    splits = svhn([tmp_path / file.name for file in FILES])
    assert splits["train"].images.shape == (2 * COUNT, 3, 32, 32)
    assert (splits["train"].images[COUNT:] == PIXELS.transpose(3, 2, 0, 1)).all()
    assert splits["test"].labels.tolist() == [*range(1, 10), 0] * 4
    assert splits["test"].labels.dtype == np.int16


def test_counts_are_the_official_ones() -> None:
    assert list(ROWS.values()) == [73_257, 531_131, 26_032]


def strange(file: Path, kind: str) -> None:
    objects = np.empty((2, 2), object)
    objects[:] = "x"
    match kind:
        case "7.3":
            file.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(500))
        case "page":
            file.write_bytes(b"<html></html>")
        case "no X":
            savemat(file, {"y": DIGITS})
        case "zeros":
            file.write_bytes(mat(file).read_bytes()[:128] + bytes(40_000_000))
        case "shape":
            mat(file, X=PIXELS[:31])
        case "count":
            mat(file, X=PIXELS[..., 1:])
        case "floats":
            mat(file, X=PIXELS.astype(np.float64))
        case "objects":
            mat(file, X=objects)
        case "label 11":
            mat(file, y=DIGITS + 1)
        case "cut":
            file.write_bytes(mat(file).read_bytes()[:-1000])


@pytest.mark.parametrize("kind", ["7.3", "page", "no X", "zeros", "shape", "count", "floats", "objects", "label 11", "cut"])
def test_strange_files(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "train_32x32.mat"
    strange(file, kind)
    with pytest.raises(DataError, match=r"train_32x32\.mat: not SVHN's file") as caught:
        read([file], [COUNT])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["import os; os.kill(os.getpid(), 11)", "print('x')", "import sys; sys.stdout.write('x' * 10**7)"])
def test_reader_that_dies_or_says_something_else(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent lives, and believes only a reader that said exactly what was expected and ended well."""
    popen = module.subprocess.Popen
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **rest: popen([command[0], "-c", program], **rest))
    with pytest.raises(DataError, match="not SVHN's file"):
        read([mat(tmp_path / "train_32x32.mat")], [COUNT])


def mutated(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Read damaged files, each in a forked process: scipy is loaded once. Say how they ended."""
    chance, ends = random.Random(seed), {"refused": 0, "right size": 0, "crashed": 0}
    good = {compressed: mat(folder / "good.mat", compressed=compressed).read_bytes() for compressed in (True, False)}
    for _ in range(count):
        raw = bytearray(good[chance.random() < 0.3])
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(chance.choice((300, len(raw))))] = chance.randrange(256)
        file = folder / "bad.mat"
        file.write_bytes(raw)
        child = os.fork()
        if not child:
            os._exit(child_reads(file))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE)
            ends["crashed"] += 1
        else:
            assert os.WEXITSTATUS(status) in (0, 1)
            ends["refused" if os.WEXITSTATUS(status) else "right size"] += 1
    return ends


def child_reads(file: Path) -> int:
    faulthandler.disable()
    limit(COUNT)
    out = io.BytesIO()
    try:
        convert(file, COUNT, out)
    except Exception:
        return 1
    return 0 if len(out.getvalue()) == COUNT * 3073 else 2


def test_mutated_files(tmp_path: Path) -> None:
    ends = mutated(tmp_path, 100, seed=0)
    assert ends["refused"] > 20
    assert sum(ends.values()) == 100


@pytest.mark.slow
def test_many_mutated_files(tmp_path: Path) -> None:
    ends = mutated(tmp_path, 1200, seed=1)
    assert ends["refused"] > 200
