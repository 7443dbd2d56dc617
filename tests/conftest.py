"""What tests share: small runs, and a project of their own in a temporary folder."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from okd.plan.planner import make_plan
from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import write_plan

ROOT = Path(__file__).resolve().parents[1]

PARAMS = """\
scale: {scale}
reproduce: [tiny]
seeds: null
numerics: exact
budget: {{device_hours: 24}}
devices: {{slots: 2}}
data: {data}
"""

SCALES = """\
demo: {dataset: digits, seeds: 1, recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}}, options: {ramp_up: 1}, cells: [tiny-t1]}
short: {factor: 0.1, seeds: 1}
"""

TINY = """\
title: A small paper
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
methods:
  one: {students: 3, temperature: 3.0, ramp_up: 1}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet-8: {}
    columns:
      Teacher: {network: resnet-bottleneck-tiny, method: baseline}
      Baseline: {method: baseline}
      ONE: {method: one}
      OKDDip: {method: okddip, students: 3, ramp_up: 1, statistic: leader}
      KD: {method: kd, teacher: {network: resnet-bottleneck-tiny, method: baseline}}
    published:
      ResNet-8: [null, "6.34 +- 0.03", "5.99*", "N/A", "1.0"]
"""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A test that trains in this process installs handlers; the next one must not inherit them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def reference() -> Path:
    """The folder of reference material; tests that need it are skipped where it is not at hand."""
    folder = os.environ.get("OKD_REFERENCE")
    if not folder or not Path(folder).is_dir():
        pytest.skip("OKD_REFERENCE is not set: the reference material is not at hand")
    return Path(folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one small paper on the digits, planned at scale paper, its data prepared; the current folder."""
    return make_project(tmp_path, monkeypatch)


def make_project(folder: Path, monkeypatch: pytest.MonkeyPatch, *, scale: str = "paper", paper: str = TINY) -> Path:
    (folder / "papers").mkdir()
    data = open_project(ROOT).settings.data.model_dump_json().replace('"', "").replace(":", ": ")
    (folder / "params.yaml").write_text(PARAMS.format(scale=scale, data=data))
    (folder / "papers" / "scales.yaml").write_text(SCALES)
    (folder / "papers" / "tiny.yaml").write_text(paper)
    (folder / "papers" / "margins.yaml").write_text("digits: 1.0\n")
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data" / "digits.manifest.json", folder / "data")
    (folder / "reports" / "evidence").mkdir(parents=True)
    monkeypatch.chdir(folder)
    plan(folder)
    return folder


def plan(folder: Path) -> dict[str, Run]:
    """Make plan/ follow the files and return the runs."""
    made = make_plan(open_project(folder))
    write_plan(folder, made)
    return {run.id: run for run in made.to_do}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests have recorded."""
    reports = [report for group in terminalreporter.stats.values() for report in group if hasattr(report, "user_properties")]
    tables = {report.nodeid: text for report in reports for name, text in report.user_properties if name == "table"}
    for test, text in tables.items():
        terminalreporter.write_line(f"\n{test}\n{text}")
