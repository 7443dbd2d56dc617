"""What `student` picks: one of the networks that a cell lists, and never one branch of a network."""

import shutil
from pathlib import Path

import pytest

from conftest import ROOT, make_project, plan
from handmade import publish
from okd.cli.evidence import evidence
from okd.evaluation.outcomes import student_of
from okd.evaluation.records import CellRecord
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

PAIR = """\
title: Two networks side by side
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    draw: curves
    cell: {dataset: digits, networks: [resnet8, resnet-bottleneck-tiny], statistic: student}
    rows:
      Alone: {method: baseline}
      DML: {method: dml}
      ONE: {method: one, students: 3, ramp_up: 1}
    columns:
      First: {student: 0}
      Second: {student: 1}
"""
WRONG = {"baseline": [54], "dml": [36, 72], "one": [108, 90, 72]}  # of 360: branches at 30, 25 and 20 %
EXPECTED = {"Alone": [15.0, 15.0], "DML": [10.0, 20.0], "ONE": [25.0, 25.0]}  # ONE's cell is the mean over its branches


def evaluation(root: Path) -> Evaluation:
    return Evaluation(root, make_plan(open_project(root)), reproduce=["tiny"])


def shown(root: Path) -> dict[str, list[float]]:
    (table,) = evaluation(root).tables()
    found: dict[str, list[float]] = {}
    for cell in table.cells:
        assert cell.ours is not None
        found.setdefault(cell.row, []).append(cell.ours.mean)
    return found


def cell(root: Path, row: str) -> CellRecord:
    (table,) = evaluation(root).tables()
    return table.cell(row, "First")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path, monkeypatch, paper=PAIR)
    for run in plan(root).values():
        publish(root, run, by_row=WRONG[run.method.name])
    return root


def test_branches_of_the_chosen_network_are_averaged(published: Path) -> None:
    assert shown(published) == EXPECTED


def test_curves_count_the_same_rows(published: Path) -> None:
    ((data, _),) = evaluation(published).figures().values()
    last = {(curve.row, curve.column): curve.mean[-1] for curve in data.curves}
    assert last == {(row, column): value for row, pair in EXPECTED.items() for column, value in zip(("First", "Second"), pair, strict=True)}


def test_evidence_keeps_the_same_number(published: Path) -> None:
    evidence(list(plan(published)))
    shutil.rmtree(published / "results")
    shutil.rmtree(published / "scratch")
    assert shown(published) == EXPECTED
    assert cell(published, "ONE").from_evidence


def test_kdcls_branch_based_rows_are_means() -> None:
    """Its assumptions `one` and `clnn`: "the cell is their mean"; its pairs of networks are told apart."""
    made = make_plan(open_project(ROOT), scale="demo")
    cells = {cell.address: cell for cell in made.cells if cell.runs and cell.placed.cell}
    picked = {address: student_of(one.placed.cell, made.runs[one.runs[0]]) for address, one in cells.items() if one.placed.cell}
    assert picked["kdcl-t7/clnn/resnet-32"] is None
    assert picked["kdcl-t7/vanilla/wrn-16-2"] is None
    assert [picked[f"kdcl-t7/kdcl-naive-icl/{name}"] for name in ("resnet-32", "wrn-16-2")] == [0, 1]
