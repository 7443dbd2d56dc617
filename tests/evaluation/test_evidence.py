"""Evidence: what git holds of a run stands in for the run, and never for another one."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import plan
from handmade import publish
from okd.cli.evidence import evidence
from okd.evaluation.records import CellRecord
from okd.evaluation.tables import Evaluation
from okd.plan.catalog import catalog
from okd.plan.planner import make_plan
from okd.plan.settings import open_project


def cells(root: Path, *, evidence_only: bool = False) -> dict[str, CellRecord]:
    evaluation = Evaluation(root, make_plan(open_project(root)), reproduce=["tiny"], evidence_only=evidence_only)
    return {cell.column: cell for table in evaluation.tables() for cell in table.cells}


@pytest.fixture
def recorded(project: Path) -> Path:
    """A project whose runs have left evidence, and nothing else."""
    runs = plan(project)
    for index, run in enumerate(runs.values()):
        publish(project, run, wrong=20 + index)
    evidence(list(runs))
    return project


def test_evidence_gives_the_numbers_of_the_run_itself(recorded: Path) -> None:
    before = cells(recorded)
    shutil.rmtree(recorded / "results")
    after = cells(recorded)
    for column, cell in before.items():
        assert cell.ours is not None
        assert (after[column].ours, after[column].best_epoch, after[column].state) == (cell.ours, cell.best_epoch, cell.state)
        assert after[column].from_evidence
        assert not cell.from_evidence
        assert [run.weights_sha256 for run in after[column].runs] == [run.weights_sha256 for run in cell.runs]


def test_a_result_here_comes_first_unless_only_evidence_is_asked_for(recorded: Path) -> None:
    run = next(run for name, run in plan(recorded).items() if "resnet8-one" in name)
    publish(recorded, run, wrong=72)
    here, held = cells(recorded)["ONE"], cells(recorded, evidence_only=True)["ONE"]
    assert here.ours is not None
    assert held.ours is not None
    assert (here.ours.mean, here.from_evidence) == (20.0, False)
    assert held.from_evidence
    assert held.ours.mean < 20.0


def test_evidence_of_another_spec_is_stale_and_never_judged(recorded: Path) -> None:
    shutil.rmtree(recorded / "results")
    file = recorded / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    cell = cells(recorded)["Baseline"]
    assert (cell.state, cell.ours, cell.verdict) == ("stale", None, None)
    assert cell.detail == "evidence of another spec: recipe momentum 0.9, now 0.8"


def test_evidence_that_was_edited_is_not_used(recorded: Path) -> None:
    shutil.rmtree(recorded / "results")
    for file in (recorded / "reports" / "evidence").glob("*.json"):
        record = json.loads(file.read_text())
        record["spec"]["seed"] = 7
        file.write_text(json.dumps(record))
    found = cells(recorded).values()
    assert {(cell.state, cell.ours) for cell in found} == {("stale", None)}
    assert all("is damaged" in cell.detail for cell in found)


def test_a_statistic_that_was_not_kept_is_said(recorded: Path) -> None:
    shutil.rmtree(recorded / "results")
    file = recorded / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("ONE: {method: one}", "ONE: {method: one, statistic: ensemble}"))
    cell = cells(recorded)["ONE"]
    assert cell.ours is None
    assert cell.detail == "the evidence of its runs does not hold this statistic"


def test_evidence_holds_counts_history_and_the_hash_of_the_weights(recorded: Path) -> None:
    file = next((recorded / "reports" / "evidence").glob("*resnet8-one*.json"))
    record = json.loads(file.read_text())
    assert file.name == f"{record['id']}.{record['key']}.json"
    assert set(record["correct"]) == {"student_0", "student_1", "student_2"}
    assert all(isinstance(count, int) for row in record["correct"].values() for count in row.values())
    assert record["history"][0].startswith("epoch,")
    assert record["result"]["sha256"]["weights.safetensors"]
    assert len(file.read_bytes()) < 20_000


def test_evidence_needs_a_finished_run(project: Path) -> None:
    name = next(iter(plan(project)))
    with pytest.raises(ValueError, match="no finished result here"):
        evidence([name])
    with pytest.raises(ValueError, match="no run is called 'nobody'"):
        evidence(["nobody"])
    assert list((project / "reports" / "evidence").glob("*.json")) == []


def test_evidence_under_other_numerics_is_shown_and_never_judged(recorded: Path) -> None:
    judged = cells(recorded)["Baseline"]
    shutil.rmtree(recorded / "results")
    file = recorded / "params.yaml"
    file.write_text(file.read_text().replace("numerics: exact", "numerics: fast"))
    cell = cells(recorded)["Baseline"]
    assert judged.ours == cell.ours
    assert (cell.state, cell.verdict) == ("other numerics", None)
    assert cell.detail == "1 of 1 runs computed as exact, planned as fast: never judged"
    assert [run.key for run in cell.runs] == [run.key for run in judged.runs], "the key is that of what was computed"
    assert cell.configuration is not None
    assert cell.configuration.resolved["numerics"] == "exact (revision 1)", "as it was computed"
    assert cell.configuration.unlike_paper == [
        f"numerics: exact (revision 1), planned fast (revision {catalog().numerics['fast'].revision})"
    ]
    taught = cells(recorded)["KD"]
    assert taught.state == "stale", "its teacher is another network's weights"


def test_divergence_under_other_numerics_is_no_divergence_of_the_plan(project: Path) -> None:
    run = next(run for name, run in plan(project).items() if "resnet8-baseline" in name)
    publish(project, run, status="diverged")
    evidence([run.id])
    shutil.rmtree(project / "results")
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("numerics: exact", "numerics: fast"))
    cell = cells(project)["Baseline"]
    assert cell.state == "other numerics"
    assert "diverged: 1 of 1 runs: soft was not finite" in cell.detail


def test_evidence_of_the_planned_numerics_comes_first(recorded: Path) -> None:
    shutil.rmtree(recorded / "results")
    file = recorded / "params.yaml"
    file.write_text(file.read_text().replace("numerics: exact", "numerics: fast"))
    exact = cells(recorded)["Baseline"].ours
    run = next(run for name, run in plan(recorded).items() if "resnet8-baseline" in name)
    publish(recorded, run, wrong=9)
    kept = next((recorded / "reports" / "evidence").glob(f"{run.id}.*.json")).read_text()
    evidence([run.id])
    (recorded / "reports" / "evidence" / f"{run.id}.{json.loads(kept)['key']}.json").write_text(kept)
    shutil.rmtree(recorded / "results")
    ours = cells(recorded)["Baseline"].ours
    assert ours is not None
    assert ours != exact
    assert ours.mean == pytest.approx(100 * 9 / 360)
