"""A downloaded number stands in its own unit, whatever else its table holds."""

import csv
import io
from pathlib import Path

import pytest

from okd.evaluation.dvc import cells_csv
from okd.evaluation.frames import table_csv
from okd.evaluation.records import TableRecord
from okd.evaluation.tables import Evaluation
from okd.plan.paper import COSTS, STATISTICS
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> list[TableRecord]:
    evaluation = Evaluation(ROOT / "tests", make_plan(open_project(ROOT), scale="paper"), reproduce=[])  # a folder without results
    evaluation.root = ROOT
    return evaluation.tables()


def lines(text: str) -> dict[str, dict[str, str]]:
    return {line["address"]: line for line in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize(
    ("address", "unit"),
    [
        ("one-cifar-svhn/resnet-32/cifar10", "error"),
        ("one-cifar-svhn/resnet-32/params", "M parameters"),  # printed 0.5M, beside errors
        ("kdcl-t3/vanilla/params", "M parameters"),  # 11.7M, beside accuracies
        ("kdcl-t7/dml/resnet-32", "accuracy"),
        ("kdcl-t7/dml/gain", "points"),
        ("one-ensemble-comparison/one/resnet-32-trcost", "1e8 operations"),
        ("md-text-gains/alexnet-with-vgg/gain", "points"),
        ("md-text-logits/alexnet/max", "logit"),
        ("md-text-logits/alexnet/variance", "squared logit"),
        ("md-exchange/vgg/cifar-10-gradients", "MB"),
        ("one-fig-variance/correlation/one", "correlation"),
    ],
)
def test_csv_names_the_cells_unit(tables: list[TableRecord], address: str, unit: str) -> None:
    (table,) = (table for table in tables if table.id == address.partition("/")[0])
    assert lines(table_csv(table))[address]["unit"] == unit
    if plotted := lines(cells_csv(tables)).get(address):
        assert plotted["unit"] == unit


def test_dvcs_lines_do_too(tables: list[TableRecord]) -> None:
    found = lines(cells_csv(tables))
    assert found["one-kd-comparison/one/resnet-32-tecost"]["unit"] == "1e8 operations"
    assert found["kdcl-t3/vanilla/params"] | {"state": ""} == {
        "address": "kdcl-t3/vanilla/params",
        "table": "kdcl-t3",
        "unit": "M parameters",
        "state": "",
        "published": "11.7",
        "ours": "11.7",
    }


def test_no_number_is_without_a_unit(tables: list[TableRecord]) -> None:
    units = {lines(table_csv(table))[cell.address]["unit"] for table in tables for cell in table.cells if cell.state != "paper blank"}
    assert not units & {"", "number", *COSTS, *(set(STATISTICS) - {"correlation"})}
