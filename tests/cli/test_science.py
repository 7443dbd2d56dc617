"""`okd science`: every method stands in its plan, and a gain is the paired t-interval of the seeds."""

from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from okd.cli import science
from okd.plan.catalog import catalog
from okd.plan.settings import open_project

ROOT = Path(__file__).resolve().parents[2]


def test_a_gain_is_paired_by_seed() -> None:
    baseline, errors = [3.0, 2.5, 4.0, 3.2, 2.9], [2.0, 2.6, 3.1, 3.0, 2.2]
    ours, theirs = science.gain("one", "student", baseline, errors), ttest_rel(baseline, errors).confidence_interval(0.95)
    assert (ours.mean - ours.half_width, ours.mean + ours.half_width) == pytest.approx((theirs.low, theirs.high))
    assert ours.error == pytest.approx(2.58)


def test_every_method_is_planned_once_a_seed(tmp_path: Path) -> None:
    plan = science._plan(open_project(ROOT), tmp_path, 2)
    methods = [name for name, entry in catalog().methods.items() if entry.built]
    assert [cell.placed.column for cell in plan.cells] == methods
    assert all(len(cell.replicates) == 2 for cell in plan.cells)
    assert len(plan.to_do) == 2 * (len(methods) + 1), "KD has a teacher"
    assert {run.dataset.name for run in plan.to_do} == {"digits"}
