"""The small checkout that the workflow's tests work in: the real rules, one paper of six runs on the digits."""

import fcntl
import os
import re
import shutil
from pathlib import Path

import pytest
from project import ROOT, Checkout

SHARED = ("Snakefile", "workflow", "profiles", "dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
CATALOG, MARGINS = "src/okd/catalog.yaml", "papers/margins.yaml"

SCALES = """\
demo:
  dataset: digits
  seeds: 1
  recipe: {epochs: 1, batch_size: 64, lr: {multistep: [0.1]}}
  options: {}
  cells: [small-t1/resnet/baseline, small-t1/resnet/one]
short: {factor: 0.1, seeds: 1}
"""

PAPER = """\
title: A small paper
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
methods:
  one: {temperature: 3.0, ramp_up: 1}
seeds: 1
tables:
  - id: small-t1
    title: Error on the digits
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet: {}
    columns:
      Baseline: {method: baseline}
      ONE: {method: one}
      OKDDip: {method: okddip, students: 3, statistic: leader}
      DML: {method: dml}
    published:
      ResNet: ["6.93", "5.99 +- 0.05", "5.86", "N/A"]
  - id: small-t2
    title: Taught by another run
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet: {}
    columns:
      Teacher: {network: wrn-tiny, method: baseline}
      KD: {method: kd, teacher: {network: wrn-tiny, method: baseline}}
"""

ONE, BASELINE, TEACHER, STUDENT = (
    f"small-digits-{name}-s0" for name in ("resnet8-one", "resnet8-baseline", "wrn-tiny-baseline", "resnet8-kd")
)
RUNS = 6


def make_checkout(folder: Path) -> Checkout:
    """A git checkout with the real workflow, a paper of its own, and nothing done yet."""
    folder.mkdir(parents=True)
    for name in (*SHARED, CATALOG, MARGINS):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (folder / "papers" / "small.yaml").write_text(PAPER)
    (folder / "papers" / "scales.yaml").write_text(SCALES)
    (folder / "params.yaml").write_text(_dials())
    (folder / "reports" / "evidence").mkdir(parents=True)
    (folder / "reports" / "evidence" / "README.md").write_text("None.\n")
    checkout = Checkout(folder)
    checkout.git("init", "--quiet")
    checkout.okd("plan")
    checkout.commit()
    return checkout


def finished_checkout(folder: Path, factory: pytest.TempPathFactory) -> Checkout:
    """A copy of one in which all runs are done and recorded; made once for all tests."""
    own = factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished"
    with (shared.parent / "finished.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (shared / "complete").exists():
            shutil.rmtree(shared, ignore_errors=True)
            made = make_checkout(shared / "checkout")
            made.snakemake()
            made.okd("record")
            made.trained()
            made.commit()
            (shared / "complete").touch()
    return Checkout(shared / "checkout").copy(folder)


def _dials() -> str:
    """The real dials, turned to the small paper at scale paper."""
    text = (ROOT / "params.yaml").read_text()
    for name, value in (("scale", "paper"), ("reproduce", "[small]"), ("seeds", "null"), ("numerics", "exact")):
        text, count = re.subn(rf"^{name}: [^#\n]*?( *)(?=#|$)", rf"{name}: {value}\1", text, flags=re.MULTILINE)
        assert count == 1, name
    return text
