"""Cells with all their states, from results that are there, partly there, broken or missing."""

import json
from pathlib import Path

import pytest

from conftest import plan
from handmade import publish
from okd.evaluation.frames import table_csv
from okd.evaluation.records import CellRecord
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import Places, write_json
from okd.report.phrases import sentence


def cells(root: Path) -> dict[str, CellRecord]:
    evaluation = Evaluation(root, make_plan(open_project(root)), reproduce=["tiny"])
    return {cell.column: cell for table in evaluation.tables() for cell in table.cells}


def run_of(root: Path, word: str) -> Run:
    return next(run for name, run in plan(root).items() if word in name)


def test_nothing_has_run(project: Path) -> None:
    assert {cell.state for cell in cells(project).values()} == {"not run"}


def test_a_finished_cell_has_its_number_and_its_run(project: Path) -> None:
    run = run_of(project, "resnet8-baseline")
    publish(project, run, wrong=36)
    cell = cells(project)["Baseline"]
    assert cell.ours is not None
    assert (cell.state, cell.ours.mean, cell.ours.spread, cell.ours.values) == ("too few seeds", 10.0, None, [10.0])
    assert cell.best_epoch is not None
    assert cell.best_epoch.mean == pytest.approx(100 * 30 / 360)
    assert (cell.printed, cell.published, cell.published_spread) == ("6.34 +- 0.03", 6.34, 0.03)
    assert [run.id for run in cell.runs] == [run.id]


def test_the_leader_is_its_own_row(project: Path) -> None:
    publish(project, run_of(project, "okddip"), wrong=18)
    cell = cells(project)["OKDDip"]
    assert cell.ours is not None
    assert (cell.state, cell.ours.mean, cell.published, cell.printed) == ("measured", 5.0, None, "N/A")


def test_accuracy_is_shown_where_the_paper_prints_it(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("statistic: student}", "statistic: student, unit: accuracy}"))
    publish(project, run_of(project, "resnet8-baseline"), wrong=36)
    cell = cells(project)["Baseline"]
    assert cell.ours is not None
    assert cell.ours.mean == 90.0


def test_a_missing_seed_is_said(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3"))
    publish(project, run_of(project, "resnet8-baseline-s0"), wrong=36)
    publish(project, run_of(project, "resnet8-baseline-s2"), wrong=72)
    cell = cells(project)["Baseline"]
    assert cell.ours is not None
    assert (cell.state, cell.detail, cell.ours.values) == ("too few seeds", "2 of 3 runs", [10.0, 20.0])
    assert cell.ours.spread == pytest.approx(50**0.5)


def test_complete_cells_are_judged_and_only_they(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3"))
    for seed, (close, far) in enumerate([(22, 40), (23, 41), (24, 42)]):
        publish(project, run_of(project, f"resnet8-baseline-s{seed}"), wrong=close)
        publish(project, run_of(project, f"resnet8-one-s{seed}"), wrong=far)
    found = cells(project)
    assert (found["Baseline"].state, found["ONE"].state) == ("matches", "worse")
    verdict = found["Baseline"].verdict
    assert verdict is not None
    assert verdict.difference == pytest.approx(100 * 23 / 360 - 6.34, abs=1e-5)
    assert verdict.low < verdict.difference < verdict.high
    assert found["KD"].verdict is None


LAST_EPOCH = "deviations: [{id: last-epoch, what: The last epoch counts., why: Theirs is the best one., cells: [tiny-t1]}]\ntables:"


@pytest.mark.parametrize(("remark", "word"), [(LAST_EPOCH, "matches"), ("tables:", None)])
def test_a_paper_that_reports_the_best_epoch_is_held_against_ours_too(project: Path, remark: str, word: str | None) -> None:
    """Last epochs at 11 %, best epochs at 6.4 %, where the paper prints 6.34: the headline stays, and the panel has both words."""
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3").replace("tables:", remark))
    for seed, wrong in enumerate((39, 40, 41)):
        publish(project, run_of(project, f"resnet8-baseline-s{seed}"), wrong=wrong, best=wrong - 17)
    cell = cells(project)["Baseline"]
    assert cell.state == "worse"
    assert cell.verdict is not None
    assert (cell.verdict.best_epoch.word if cell.verdict.best_epoch else None) == word
    assert cell.verdict.fragile is (word is not None)
    assert ("By the best epoch the word would be: matches." in sentence(cell)) is (word is not None)
    if cell.verdict.best_epoch:
        half = 2.919986 * (100 / 360) * (1 / 3) ** 0.5  # Student's t with 2 degrees at 95 %; our spread is one answer of 360
        assert cell.verdict.best_epoch.difference == pytest.approx(100 * 23 / 360 - 6.34, abs=1e-5)
        assert cell.verdict.best_epoch.high - cell.verdict.best_epoch.difference == pytest.approx(half, rel=0.05)


def test_a_diverged_run_is_counted_and_never_dropped(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 2"))
    publish(project, run_of(project, "resnet8-baseline-s0"), wrong=36)
    publish(project, run_of(project, "resnet8-baseline-s1"), status="diverged")
    cell = cells(project)["Baseline"]
    assert cell.state == "diverged"
    assert cell.detail == "1 of 2 runs: soft was not finite at step 7 (epoch 0)"
    assert cell.ours is not None
    assert cell.ours.values == [10.0]


def test_a_run_that_ended_near_chance_has_diverged(project: Path) -> None:
    """Ten classes: chance is 90 % wrong. The number stays to be seen, and nothing is judged by it."""
    publish(project, run_of(project, "resnet8-baseline"), wrong=324)
    cell = cells(project)["Baseline"]
    assert cell.ours is not None
    assert (cell.state, cell.ours.values, cell.difference, cell.verdict) == ("diverged", [90.0], None, None)
    assert cell.detail == "1 of 1 ended within 5 points of chance"
    publish(project, run_of(project, "resnet8-baseline"), wrong=304)
    assert cells(project)["Baseline"].state != "diverged"


def test_a_gain_over_a_run_near_chance_is_none(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    gain = "      Gain: {difference: [[tiny-t1/resnet-8/baseline], [tiny-t1/resnet-8/one]], unit: points}\n      KD:"
    file.write_text(file.read_text().replace("      KD:", gain).replace('"1.0"', '"1.0", "1.0"'))
    publish(project, run_of(project, "resnet8-baseline"), wrong=324)
    publish(project, run_of(project, "resnet8-one"), wrong=36)
    found = cells(project)
    assert (found["Gain"].state, found["ONE"].state) == ("diverged", "too few seeds")


def test_a_diverged_run_on_unknown_data_is_first_of_all_unverified(project: Path) -> None:
    run = run_of(project, "resnet8-baseline")
    publish(project, run, status="diverged")
    file = Places(project, run).result / "result.json"
    write_json(file, json.loads(file.read_text()) | {"data_verified": False})
    cell = cells(project)["Baseline"]
    assert cell.state == "data not verified"
    assert "1 of 1 runs: soft was not finite" in cell.detail


def test_a_diverged_reduced_run_is_never_judged(project: Path) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("scale: paper", "scale: demo"))
    publish(project, run_of(project, "resnet8-baseline"), status="diverged")
    cell = cells(project)["Baseline"]
    assert cell.state == "diverged"
    assert cell.detail.endswith("scale demo: never judged")


def test_a_result_of_another_spec_is_stale(project: Path) -> None:
    publish(project, run_of(project, "resnet8-baseline"))
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    cell = cells(project)["Baseline"]
    assert cell.state == "stale"
    assert cell.ours is None


def test_a_failure_is_shown_with_its_command(project: Path) -> None:
    run = run_of(project, "resnet8-one")
    write_json(Places(project, run).failure, {"error": "RuntimeError: out of memory\nmore"})
    cell = cells(project)["ONE"]
    assert (cell.state, cell.detail) == ("failed", "1 of 1 runs: RuntimeError: out of memory")
    assert cell.runs[0].command == f"dvc repro train@{run.id}"


def test_a_reduced_run_is_never_more_than_that(project: Path) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("scale: paper", "scale: demo"))
    publish(project, run_of(project, "resnet8-baseline"))
    assert cells(project)["Baseline"].state == "reduced"


def test_differences_are_summed_within_a_run_first(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    gain = "      Gain: {difference: [[tiny-t1/resnet-8/baseline], [tiny-t1/resnet-8/one]], unit: points}\n      KD:"
    file.write_text(file.read_text().replace("      KD:", gain).replace('"1.0"', '"1.0", "1.0"').replace("seeds: 1", "seeds: 2"))
    for seed, (baseline, one) in enumerate([(36, 18), (72, 36)]):
        publish(project, run_of(project, f"resnet8-baseline-s{seed}"), wrong=baseline)
        publish(project, run_of(project, f"resnet8-one-s{seed}"), wrong=one)
    cell = cells(project)["Gain"]
    assert cell.ours is not None
    assert cell.ours.values == [5.0, 10.0]


def test_a_torn_result_is_no_result(project: Path) -> None:
    run = run_of(project, "resnet8-baseline")
    publish(project, run)
    (Places(project, run).result / "result.json").write_text('{"status": "do')
    assert cells(project)["Baseline"].state == "not run"


def test_the_csv_says_what_the_table_says(project: Path) -> None:
    publish(project, run_of(project, "resnet8-baseline"), wrong=36)
    evaluation = Evaluation(project, make_plan(open_project(project)), reproduce=["tiny"])
    (table,) = evaluation.tables()
    lines = table_csv(table).splitlines()
    assert len(lines) == 6
    assert lines[2].startswith("tiny-t1/resnet-8/baseline,ResNet-8,Baseline,error,too few seeds,1,1,10.0,,6.34,0.03,")


def test_scores_follow_the_bytes_of_the_predictions(project: Path) -> None:
    run = run_of(project, "resnet8-baseline")
    publish(project, run, wrong=36)
    first = cells(project)["Baseline"].ours
    publish(project, run, wrong=72)
    second = cells(project)["Baseline"].ours
    assert first is not None
    assert second is not None
    assert (first.mean, second.mean) == (10.0, 20.0)
    cached = json.loads(next((project / "scratch" / "scores").iterdir()).read_text())
    assert list(cached["values"].values()) == [20.0]
