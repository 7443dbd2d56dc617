"""`okd gc` and `okd doctor`: what is deleted, what is kept, what people are told to type."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from project import Checkout
from small import BASELINE, ONE, TEACHER, finished_checkout, make_checkout

from okd.training.lock import Owner


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """ONE and the baseline are done."""
    checkout = make_checkout(tmp_path / "checkout")
    checkout.okd("fetch", "digits")
    for run in (ONE, BASELINE):
        checkout.okd("train", run)
    return checkout


def lock_of(checkout: Checkout, run: str, owner: Owner, node: str = "") -> Path:
    folder = checkout.root / "scratch" / run / checkout.index()[run]["key"] / node / "lock"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text(json.dumps(asdict(owner)))
    return folder


def left_by_a_kill(checkout: Checkout, name: str) -> Path:
    """A half-written file of a process that is gone, some minutes old."""
    with subprocess.Popen(["true"]) as process:
        file = checkout.root / name.format(process.pid)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("half")
    os.utime(file, (time.time() - 300, time.time() - 300))
    return file


def test_gc_clears_what_kills_left_and_keeps_the_rest(checkout: Checkout) -> None:
    root, keys = checkout.root, {run: row["key"] for run, row in checkout.index().items()}
    other = next(run for run in keys if run not in (ONE, BASELINE))
    me = Owner.me()
    living, dead = lock_of(checkout, other, me), lock_of(checkout, ONE, replace(me, started=me.started - 1))
    publishing, torn = (root / "results" / "new" / f"{run}.{keys[run]}" / "x" for run in (other, ONE))
    replaced, young = root / "results" / "old" / "x" / "key", root / "scratch" / ".x.1.tmp"
    for file in (publishing, torn, replaced, young):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    halves = [left_by_a_kill(checkout, name) for name in (".params.yaml.{}.tmp", "plan/.index.json.{}.tmp", "reports/data/.x.json.{}.tmp")]
    resume = root / "scratch" / ONE / keys[ONE] / "resume.json"
    unfinished = root / "scratch" / other / keys[other] / "resume.json"
    for file in (resume, unfinished):
        file.write_text("{}")
    words = checkout.okd("gc", "--dry-run").out
    assert all(file.exists() for file in (torn, replaced, resume, dead, *halves)), "only said"
    assert checkout.okd("gc").out == words.replace("would free", "freed")
    assert not any(file.exists() for file in (torn, replaced, resume, dead, *halves))
    assert all(file.exists() for file in (publishing, young, living, unfinished)), "of the living"
    assert all(checkout.folder(run).exists() for run in (ONE, BASELINE))


def test_gc_keeps_what_any_cell_wants(checkout: Checkout) -> None:
    checkout.okd("plan", "small-t2", "--save")
    assert "nothing wants it" not in checkout.okd("gc").out, "not chosen now, but a cell's"
    checkout.okd("plan", "--scale", "demo", "small", "--save")
    assert "nothing wants it" not in checkout.okd("gc").out, "of another scale, but a cell's"
    checkout.edit("papers/small.yaml", "temperature: 3.0", "temperature: 4.0")
    assert f"results/paper/{ONE}: nothing wants it" in checkout.okd("gc").out
    assert not checkout.folder(ONE).exists()
    assert checkout.folder(BASELINE).exists()
    checkout.okd("gc", "--all")
    assert not checkout.folder(BASELINE).exists()


def test_doctor_says_what_to_type(checkout: Checkout) -> None:
    root = checkout.root
    healthy = checkout.okd("doctor").out
    assert "2 of 6 runs are done" in healthy
    assert "torch 2." in healthy
    assert "; type:" not in healthy
    for file, old, new, says in (
        ("params.yaml", "seeds: null", "seeds: 2", "have changed since plan/ was written; type: okd plan\n"),
        (
            "papers/small.yaml",
            "method: one",
            "method: noe",
            "unknown method 'noe', did you mean 'one'?; type: okd plan, once that line is mended\n",
        ),
    ):
        text = (root / file).read_text()
        checkout.edit(file, old, new)
        assert says in checkout.okd("doctor", code=1).out
        (root / file).write_text(text)
    me = Owner.me()
    lock_of(checkout, ONE, replace(me, boot="before"))
    locks = root / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    (root / "data" / "digits" / "READY").unlink()
    failure = next((root / "scratch").glob("*wrn*")) if any((root / "scratch").glob("*wrn*")) else None
    assert failure is None
    found = checkout.okd("doctor", code=1).out
    for remedy in ("snakemake --unlock", "okd fetch digits", "okd gc"):
        assert f"; type: {remedy}\n" in found
    checkout.edit("params.yaml", "scale: paper", "scale: papper")
    assert "did you mean 'paper'" in checkout.okd("doctor", code=1).out
    records = json.loads(checkout.okd("doctor", "--json", code=1).out)
    assert {"what", "type"} == set(records[0])


def test_record_takes_what_is_there(checkout: Checkout) -> None:
    """Some runs, no tables, a file `key` that somebody took away."""
    (checkout.folder(ONE) / "key").unlink()
    assert checkout.okd("record").lines("recorded") == ["okd: recorded 2 of 6 runs in dvc.lock"]
    stages = yaml.safe_load((checkout.root / "dvc.lock").read_text())["stages"]
    assert sorted(stages) == ["fetch@digits", "plan", f"train@{BASELINE}", f"train@{ONE}"]
    assert not set(checkout.named_by_dvc()) & {ONE, BASELINE}
    shutil.rmtree(checkout.root / "results")
    assert checkout.okd("record", code=1).lines() == ["okd: no planned run is finished: nothing to record"]


@pytest.mark.slow
def test_record_takes_no_student_whose_teacher_is_gone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = finished_checkout(tmp_path / "finished", tmp_path_factory)
    checkout.delete(TEACHER)
    assert checkout.okd("record").lines("recorded") == ["okd: recorded 4 of 6 runs in dvc.lock"]


def test_gc_leaves_devices_and_what_is_not_its_own(checkout: Checkout) -> None:
    """Leases of devices; a node's lock and what it publishes; a file among the results. A folder may go with its last lock."""
    root, keys, me = checkout.root, {run: row["key"] for run, row in checkout.index().items()}, Owner.me()
    lease, stray = root / "scratch" / "devices" / "host" / "gpu0.slot0.lock", root / "results" / "paper" / ".DS_Store"
    publishing = root / "results" / "new" / f"{TEACHER}.{keys[TEACHER]}" / "x"
    for file in (lease, stray, publishing):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    node = lock_of(checkout, TEACHER, me, "node-1")
    unplanned = root / "scratch" / "gone" / "0123456789ab" / "lock" / "owner.json"
    unplanned.parent.mkdir(parents=True)
    unplanned.write_text(json.dumps(asdict(replace(me, started=me.started - 1))))
    assert f"{TEACHER} is being trained by process {me.pid}" in checkout.okd("doctor", code=None).out
    checkout.okd("gc")
    assert all(path.exists() for path in (lease, stray, publishing, node))
    assert not unplanned.parents[2].exists()
