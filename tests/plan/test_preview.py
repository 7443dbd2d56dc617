"""What `okd plan` says before anyone pays, and where its prices are from."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conftest import TINY
from okd.cli import plan as plan_verb
from okd.plan.planner import Plan, make_plan
from okd.plan.preview import Preview
from okd.plan.price import OverBudget, Price, price
from okd.plan.rates import CALIBRATION, CONSTANT
from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import FILES, Places, write_json

CLAIM = """\
claims:
  - {id: tiny-gain, statement: s, source: s, stated: table, criteria: [{better: ["tiny-t1/*/one", "tiny-t1/*/baseline"]}]}
tables:
"""


@pytest.fixture
def claimed(project: Path) -> Path:
    (project / "papers" / "tiny.yaml").write_text(TINY.replace("tables:\n", CLAIM))
    return project


def planned(project: Path, *targets: str, scale: str = "paper") -> Plan:
    return make_plan(open_project(project), scale=scale, targets=targets or None)


def publish(project: Path, run: Run, *, seconds: float, device: str) -> None:
    places = Places(project, run)
    places.result.mkdir(parents=True)
    for name in FILES:
        (places.result / name).write_text("")
    (places.result / "spec.json").write_text(run.to_json())
    write_json(places.result / "result.json", {"seconds": seconds, "epochs": run.recipe.epochs, "device": device})


def test_a_preview_counts_and_names_what_it_decides(claimed: Path) -> None:
    preview = Preview.of(claimed, planned(claimed, "tiny-gain"), devices=2)
    record = preview.record()
    assert (record["tables"], record["cells"], len(record["runs"]), record["claims"]) == (1, 2, 2, ["tiny-gain"])
    assert Preview.of(claimed, planned(claimed, "tiny-t1/resnet-8/one"), devices=2).claims == []
    assert Preview.of(claimed, planned(claimed, "tiny-gain", scale="demo"), devices=2).claims == []
    lines = preview.lines()
    assert lines[0] == "scale paper: 1 tables, 2 cells, 2 runs (0 done)"
    assert lines[1] == "decides 1 of 1 claims: tiny-gain"
    assert (
        "decides 0 of 1 claims: none: reduced runs decide nothing"
        in Preview.of(claimed, planned(claimed, "tiny-gain", scale="demo"), devices=2).lines()
    )


def test_sharing_is_said(claimed: Path) -> None:
    file = claimed / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("      KD:", "      Twin: {method: baseline}\n      KD:").replace('"1.0"', '"1.0", "1.0"'))
    preview = Preview.of(claimed, planned(claimed, "tiny-t1/resnet-8/twin", "tiny-t1/resnet-8/baseline"), devices=1)
    assert (preview.runs_of_cells, len(preview.plan.to_do)) == (2, 1)
    assert preview.lines()[0].endswith("1 runs (0 done, 2 without sharing)")


def test_wall_time_is_bounded_by_the_longest_run() -> None:
    total = Price(hours=10.0, longest_hours=4.0, sources={"constant": 5}, disk_bytes=0, device="GPU")
    assert [total.wall_hours(devices) for devices in (1, 2, 8)] == [10.0, 5.0, 4.0]


def test_a_teacher_comes_before_its_student(claimed: Path) -> None:
    plan = planned(claimed, "tiny-t1/resnet-8/kd")
    both = price(claimed, plan.to_do)
    assert len(plan.to_do) == 2
    assert both.longest_hours == pytest.approx(both.hours)


def test_prices_come_from_results_then_calibration_then_a_constant(claimed: Path) -> None:
    plan = planned(claimed, "tiny-t1/resnet-8/one", "tiny-t1/resnet-8/baseline")
    one, baseline = (next(run for run in plan.to_do if run.method.name == name) for name in ("one", "baseline"))
    assert price(claimed, [one], device="CPU core").sources == {"results": 0, "calibration": 0, "constant": 1}
    constant = price(claimed, [one], device="CPU core").hours

    row = {"method": "one", "networks": "resnet8", "numerics": "exact", "kind": "CPU core", "operations_per_s": CONSTANT["CPU core"] / 10}
    write_json(claimed / CALIBRATION, {"version": 1, "rates": [row, {"method": "one"}, "torn"]})
    calibrated = price(claimed, [one], device="CPU core")
    assert calibrated.sources["calibration"] == 1
    assert calibrated.hours > constant
    assert price(claimed, [baseline], device="CPU core").sources["calibration"] == 1  # the same network under another method
    assert price(claimed, [one], device="GPU").sources["constant"] == 1

    other = planned(claimed, "tiny-t1/resnet-8/one", scale="demo").to_do[0]  # the same kind of run at another scale
    publish(claimed, other, seconds=3600.0, device="torch 2, CPU")
    measured = price(claimed, [one], device="CPU core")
    assert measured.sources == {"results": 1, "calibration": 0, "constant": 0}
    assert measured.hours == pytest.approx(1.0, rel=0.01)
    assert "by earlier results here" in str(measured)


def test_what_is_finished_costs_nothing(claimed: Path) -> None:
    plan = planned(claimed, "tiny-t1/resnet-8/one")
    publish(claimed, plan.to_do[0], seconds=10, device="torch 2, CPU")
    assert price(claimed, plan.to_do).hours == 0
    assert Preview.of(claimed, plan, devices=1).lines()[0].endswith("1 runs (1 done)")


def test_results_that_nobody_can_read_leave_the_price_to_the_others(claimed: Path) -> None:
    """Damaged, of another version, or of what this catalog does not have."""
    plan = planned(claimed, "tiny-t1/resnet-8/one")
    other = planned(claimed, "tiny-t1/resnet-8/one", scale="demo").to_do[0]
    publish(claimed, other, seconds=3600.0, device="torch 2, CPU")
    good = (Places(claimed, other).result / "spec.json").read_text()
    foreign = [replace(other, **{name: replace(getattr(other, name), name="gone")}) for name in ("method", "dataset")]
    foreign.append(replace(other, networks=(replace(other.networks[0], name="gone"),)))
    specs = ["", good[:-20], "{}", "[]", good.replace('"key"', '"more": 1,\n "key"', 1), *(run.to_json() for run in foreign)]
    for index, spec in enumerate(specs):
        publish(claimed, replace(other, id=f"zz-{index}"), seconds=1.0, device="torch 2, CPU")
        (Places(claimed, replace(other, id=f"zz-{index}")).result / "spec.json").write_text(spec)
    for index, result in enumerate(({"seconds": "x"}, {"seconds": 0, "epochs": 1, "device": "CPU"}, {"seconds": 9.0, "epochs": 2})):
        run = replace(other, id=f"zzz-{index}")
        publish(claimed, run, seconds=1.0, device="CPU")
        write_json(Places(claimed, run).result / "result.json", result)
    measured = price(claimed, plan.to_do, device="CPU core")
    assert measured.sources["results"] == 1
    assert measured.hours == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("least", [1, 4])
def test_seeds_in_params_raise_and_never_lower(claimed: Path, least: int) -> None:
    file = claimed / "params.yaml"
    file.write_text(file.read_text().replace("seeds: null", f"seeds: {least}"))
    paper = claimed / "papers" / "tiny.yaml"
    paper.write_text(paper.read_text().replace("seeds: 1", "seeds: 3"))
    seeds = {run.seed for run in planned(claimed, "tiny-t1/resnet-8/one").to_do}
    assert seeds == set(range(max(3, least)))


def test_saving_says_the_price_and_what_is_allowed(claimed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan_verb.plan(["tiny-gain"], save=True, device="gpu")
    assert re.search(r"^still to pay: about 0\.0 GPU-hours \(2 by counted operations\), 0\.00 GB$", capsys.readouterr().err, re.MULTILINE)
    file = claimed / "params.yaml"
    file.write_text(file.read_text().replace("device_hours: 24", "device_hours: 0.001"))
    plan_verb.plan(["tiny-gain"], save=True, device="cpu")
    assert "0.00 GB; budget.device_hours in params.yaml allows 0.001: raise it before you start\n" in capsys.readouterr().err
    with pytest.raises(OverBudget, match="GPU-hours"):
        plan_verb.plan(budget=True, device="gpu")


def test_the_verb_says_the_same_as_json(claimed: Path) -> None:
    app = typer.Typer()
    plan_verb.register(app)
    before = sorted((claimed / "plan").rglob("*"))
    shown = CliRunner().invoke(app, ["--scale", "paper", "--device", "gpu", "--json", "tiny-gain"], catch_exceptions=False)
    record = json.loads(shown.stdout)
    assert (record["price"]["device"], record["price"]["devices"], record["claims"]) == ("GPU", 1, ["tiny-gain"])
    assert record["price"]["sources"]["constant"] == 2
    assert sorted((claimed / "plan").rglob("*")) == before
