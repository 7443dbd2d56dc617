"""The best epoch of what a cell shows, which is not each student's own best epoch."""

from pathlib import Path

import pytest

from conftest import make_project, plan
from handmade import publish
from okd.evaluation.records import CellRecord
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

PAIRS = """\
title: Pairs of one network
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    cell: {dataset: digits, network: resnet8, method: dml, students: 2, statistic: student}
    rows:
      ResNet-8: {}
    columns:
      Mean: {}
      Better: {statistic: best_student}
      Second: {statistic: student_1}
      Accuracy: {unit: accuracy}
      Ensemble: {statistic: ensemble}
      Top-5: {top: 5}
      Apart: {method: baseline, join: 2, students: 1}
"""


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, CellRecord]:
    """Wrong of 360, first and last epoch: students of the pair 36 then 72, 72 then 54; two networks alone 36 then 54, 72 then 54."""
    root = make_project(tmp_path, monkeypatch, paper=PAIRS)
    for run in plan(root).values():
        if run.method.name == "dml":
            publish(root, run, by_row=[72, 54], first=[36, 72])
        else:
            publish(root, run, wrong=54, first=[36 if run.seed == 0 else 72])
    (table,) = Evaluation(root, make_plan(open_project(root)), reproduce=["tiny"]).tables()
    return {cell.column: cell for cell in table.cells}


@pytest.mark.parametrize(
    ("column", "last", "best"),
    [
        ("Mean", 17.5, 15.0),  # the epochs' means are 15.0 and 17.5; each student's own best would give 12.5
        ("Better", 15.0, 10.0),
        ("Second", 15.0, 15.0),
        ("Accuracy", 82.5, 85.0),
        ("Apart", 15.0, 12.5),  # two trainings: the best of each, 10.0 and 15.0
    ],
)
def test_the_best_epoch_is_that_of_the_cells_statistic(cells: dict[str, CellRecord], column: str, last: float, best: float) -> None:
    cell = cells[column]
    assert cell.ours is not None
    assert cell.best_epoch is not None
    assert (cell.ours.mean, cell.best_epoch.mean) == (last, best)


def test_what_was_not_counted_at_every_epoch_has_none(cells: dict[str, CellRecord]) -> None:
    assert [cells[column].best_epoch for column in ("Ensemble", "Top-5")] == [None, None]
