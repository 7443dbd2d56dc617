"""Soft labels in a folder: nothing is believed unchecked, and the server's step is a function of the round."""

import hashlib
import io
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from together import Together

from okd.data.arrays import DataError
from okd.training.distributed.collective import join
from okd.training.distributed.folder import Folder
from okd.training.distributed.place import Place, Split
from okd.training.distributed.softlabels import SoftLabels, Wanted, to_npy
from okd.training.distributed.wire import Wire
from okd.training.stop import Stop, Stopped

WANTED = Wanted(key="0123456789ab", round=1, images=6, classes=4, temperature=3.0)


class One:
    id, key = "tiny", WANTED.key


def node_of(folder: Path, rank: int = 0, count: int = 2) -> Folder:
    return Folder(Place.named(f"{rank}/{count}", folder), One, [range(rank, rank + 1) for rank in range(count)], Stop())  # type: ignore[arg-type]


def labels_of(student: int, **changes: Any) -> SoftLabels:
    rows = np.random.default_rng(student).dirichlet(np.ones(WANTED.classes), WANTED.images).astype(np.float32)
    facts = {"correct": 2 + student, "weights": "0" * 64}
    return SoftLabels.of(rows, replace(WANTED, **changes), student=student, **facts)


def mean(said: Any) -> np.ndarray:
    return np.stack([one.rows for one in said]).mean(axis=0, dtype=np.float32)


def rewritten(rows: np.ndarray) -> Callable[[Path], None]:
    """An array that its manifest vouches for, but that is none of what was asked for."""

    def change(file: Path) -> None:
        raw = to_npy(rows) if rows.dtype == np.float32 else npy(rows)
        file.write_bytes(raw)
        manifest = json.loads(file.with_suffix(".json").read_text())
        file.with_suffix(".json").write_text(json.dumps(manifest | {"sha256": hashlib.sha256(raw).hexdigest()}))

    return change


def npy(rows: np.ndarray, **how: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows, **how)
    return stream.getvalue()


def pickled(file: Path) -> None:
    """What runs a program when it is loaded; no program is needed to refuse it."""
    raw = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    file.write_bytes(raw)
    manifest = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(manifest | {"sha256": hashlib.sha256(raw).hexdigest()}))


def says(**changes: Any) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        manifest = json.loads(file.with_suffix(".json").read_text())
        file.with_suffix(".json").write_text(json.dumps(manifest | changes))

    return change


EVEN = np.full((6, 4), 0.25, np.float32)
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda file: file.unlink(), "No such file"),
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-7]), "SHA-256 differs"),
    "one bit": (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\x01"), "SHA-256 differs"),
    "other round": (says(round=0), "says round 0, not 1"),
    "other run": (says(key="f" * 12), "says key ffffffffffff"),
    "other student": (says(student=0), "says student 0, not 1"),
    "other temperature": (says(temperature=1.0), "says temperature 1.0, not 3.0"),
    "impossible accuracy": (says(correct=7), "says 7 of 6 answers"),
    "no manifest": (lambda file: file.with_suffix(".json").write_text("[]"), "is not a manifest"),
    "half a manifest": (lambda file: file.with_suffix(".json").write_text('{"round": 1'), "is not a manifest"),
    "wrong shape": (rewritten(EVEN[:5]), r"has shape \(5, 4\), not \(6, 4\)"),
    "fp16": (rewritten(EVEN.astype(np.float16)), "is not fp32"),
    "NaN": (rewritten(np.where(np.eye(6, 4) == 1, np.nan, EVEN).astype(np.float32)), "not finite"),
    "rows that do not sum to 1": (rewritten(EVEN * np.float32(1.001)), "no probabilities"),
    "negative": (rewritten(EVEN + np.array([0.5, -0.5, 0, 0], np.float32)), "no probabilities"),
    "a pickle": (pickled, "is not an array"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_soft_labels_are_refused_by_file_and_reason(tmp_path: Path, damage: str) -> None:
    change, reason = DAMAGES[damage]
    with pytest.raises(Stopped):
        lone(tmp_path).meet(WANTED, [labels_of(1)], mean)
    file = next(tmp_path.glob("tiny/*/round-001/student-1.npy"))
    change(file)
    with pytest.raises(DataError, match=reason) as refused:
        node_of(tmp_path).meet(WANTED, [labels_of(0)], mean)
    assert str(file.with_suffix("")) in str(refused.value)
    assert not list(tmp_path.glob("tiny/*/round-001/mixture.*"))


def lone(folder: Path, rank: int = 1) -> Folder:
    """A node whose peer never comes."""
    node = node_of(folder, rank)
    node.silent_s = 0.1
    return node


def test_undamaged_soft_labels_are_taken(tmp_path: Path) -> None:
    """The negative control; and who is missing is named."""
    with pytest.raises(Stopped, match=r"waited for soft labels of round 1; node 0 of 2 gave no sign of life within 0\.1 s"):
        lone(tmp_path).meet(WANTED, [labels_of(1)], mean)
    answer = node_of(tmp_path).meet(WANTED, [labels_of(0)], mean)
    assert np.array_equal(answer, mean([labels_of(0), labels_of(1)]))
    assert np.array_equal(node_of(tmp_path, 1).meet(WANTED, [labels_of(1)], mean), answer)


def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        lone(tmp_path).meet(WANTED, [labels_of(1)], mean)
    with pytest.raises(Stopped):
        lone(tmp_path).meet(WANTED, [labels_of(1)], mean)  # the same again is nothing new
    other = SoftLabels.of(EVEN, WANTED, student=1, correct=3, weights="0" * 64)
    with pytest.raises(DataError, match=r"student-1\.npy is there already with other bytes"):
        lone(tmp_path).meet(WANTED, [other], mean)


def test_what_was_late_is_waited_for_and_what_was_taken_away_comes_back(tmp_path: Path) -> None:
    """A node leaves its labels again while it waits, so a refused file need only be deleted."""
    first = node_of(tmp_path)
    answers: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: answers.append(first.meet(WANTED, [labels_of(0)], mean)))
    thread.start()
    while not (files := list(tmp_path.glob("tiny/*/round-001/student-0.json"))):
        time.sleep(0.01)
    files[0].with_suffix(".npy").unlink()
    files[0].unlink()
    answers.append(node_of(tmp_path, 1).meet(WANTED, [labels_of(1)], mean))
    thread.join()
    assert np.array_equal(answers[0], answers[1])


def test_the_servers_step_may_be_done_again_by_anybody(tmp_path: Path) -> None:
    """By several nodes at once, by one that is killed between the array and its manifest, and again: one result, to the byte."""
    with pytest.raises(Stopped):
        lone(tmp_path).meet(WANTED, [labels_of(1)], mean)
    round_ = next(tmp_path.glob("tiny/*/round-001"))
    node_of(tmp_path)._leave(round_ / "student-0.npy", labels_of(0))

    def killed(rank: int) -> None:
        plain = os.link

        def link(source: Any, target: Any) -> None:
            plain(source, target)
            if str(target).endswith("mixture.npy"):
                os.kill(os.getpid(), signal.SIGKILL)

        os.link = link  # type: ignore[assignment]
        node_of(tmp_path).serve(WANTED, mean)

    assert Together(tmp_path / "killed").start(1, killed).wait().codes == {0: -9}
    raw = (round_ / "mixture.npy").read_bytes()
    assert not (round_ / "mixture.json").exists()
    Together(tmp_path / "said").start(4, lambda rank: node_of(tmp_path, rank % 2).serve(WANTED, mean)).wait().results()
    manifest = (round_ / "mixture.json").read_bytes()
    node_of(tmp_path).serve(WANTED, mean)
    assert (round_ / "mixture.npy").read_bytes() == raw == to_npy(mean([labels_of(0), labels_of(1)]))
    assert (round_ / "mixture.json").read_bytes() == manifest
    assert sorted(file.name for file in round_.iterdir() if not file.name.startswith("student")) == [
        f".mixture.npy.{file.name.split('.')[3]}.tmp" for file in round_.glob(".*.tmp")
    ] + ["mixture.json", "mixture.npy"], "the killed one's temporary file alone is left"


# data set: images, classes, and what MD's paper trains on it: parameters of a student, steps of a cycle
SIZES = {"CIFAR-100": (50_000, 100, 1_727_284, 40 * 391), "a hundredth of ImageNet": (12_812, 1_000, 11_689_512, 15 * 51)}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["torch.distributed", "files"])
@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_a_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any, size: str, way: str) -> None:
    """Measured between two nodes, beside the gradients of every step: the paper's argument."""
    images, classes, parameters, steps = SIZES[size]
    monkeypatch.setattr("together.WAIT_S", "60")
    wanted = replace(WANTED, images=images, classes=classes)
    node = replace(Place.here(), split=Split.STUDENTS)

    def body(rank: int) -> Any:
        rows = np.full((images, classes), 1 / classes, np.float32)
        said = [SoftLabels.of(rows, wanted, student=rank, correct=images // 2, weights="0" * 64)]
        if way == "files":
            meeting: Any = node_of(tmp_path / "shared", rank)
        else:
            join(Stop())
            meeting = Wire(replace(node, rank=rank, count=2), One, [range(1), range(1, 2)], Stop())  # type: ignore[arg-type]
        start = time.monotonic()
        meeting.meet(wanted, said, mean)
        took = time.monotonic() - start
        return asdict(meeting.traffic) | {"seconds": took}

    first, second = Together(tmp_path / "said").start(2, body).wait(limit_s=300).results()
    shutil.rmtree(tmp_path / "shared", ignore_errors=True)
    array = images * classes * 4
    assert array <= second["sent"] < array + 1000
    assert array <= second["received"] < array + 1000
    gradients = 4 * parameters * steps
    record_property(
        "table",
        f"{size}, {way}: {second['sent']:,} bytes of soft labels from a student and {second['received']:,} back in "
        f"{max(first['seconds'], second['seconds']):.1f} s; gradients {gradients:,} each way, {gradients / array:,.0f} times as much",
    )
