"""What each paper plans at each scale, and what the targets of `okd plan` and `make reproduce` cover."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from conftest import make_project
from okd.evaluation.tables import Evaluation
from okd.plan.planner import Plan, make_plan
from okd.plan.settings import open_project
from okd.plan.source import Faults

ROOT = Path(__file__).parents[2]
PAPERS = ("one", "okddip", "kdcl", "md")
# Unique runs without ImageNet, which is planned once its images are there; the demo's 37 are the four papers' together.
RUNS = {"demo": (5, 16, 8, 8), "short": (36, 102, 15, 82), "paper": (108, 306, 45, 246)}


def by_paper(plan: Plan) -> tuple[int, ...]:
    counts = Counter(run.removeprefix("demo-").removeprefix("short-").partition("-")[0] for run in plan.chosen)
    return tuple(counts[name] for name in PAPERS)


@pytest.mark.parametrize("scale", RUNS)
def test_every_paper_has_a_plan_at_every_scale(scale: str) -> None:
    plan = make_plan(open_project(ROOT), scale=scale, targets=PAPERS)
    assert by_paper(plan) == RUNS[scale]
    assert plan.addresses == {cell.address for cell in plan.cells}
    reasons = Counter(cell.reason.partition(":")[0] for cell in plan.cells)
    assert reasons.keys() <= {"", "not run", "paper blank", "data not available"}
    if scale != "demo":
        assert not reasons["not run"]


@pytest.mark.parametrize(
    ("target", "cells", "runs", "claims"),
    [
        ("okddip", 124, 306, 7),
        ("okddip-t2", 35, 105, 0),
        ("okddip-t2/resnet-32", 7, 21, 0),
        ("okddip-t2/resnet-32/one", 1, 3, 0),
        ("okddip-ablation-all", 6, 18, 2),
    ],
)
def test_a_target_is_a_paper_a_table_a_row_an_address_or_a_claim(target: str, cells: int, runs: int, claims: int) -> None:
    plan = make_plan(open_project(ROOT), scale="paper", targets=[target])
    decided = [claim for claim in plan.decided() if claim.paper == "okddip"]
    assert (len(plan.addresses), len(plan.to_do), len(decided)) == (cells, runs, claims)


def test_what_a_student_of_md_exchanges_is_counted() -> None:
    """Up and down: 50,000 soft labels of 4 bytes a class; or AlexNet's 2,472,266 gradients at 391 steps of 40 epochs."""
    plan = make_plan(open_project(ROOT), scale="paper")
    (table,) = [one for one in Evaluation(ROOT, plan, reproduce=[], evidence_only=True).tables() if one.id == "md-exchange"]
    assert {cell.state for cell in table.cells} == {"counted"}
    values = [cell.ours.mean for cell in table.cells if cell.ours and cell.row == "AlexNet"]
    assert values[0::2] == [2 * 50_000 * 10 * 4 / 1e6, 2 * 50_000 * 100 * 4 / 1e6]
    assert values[1] == pytest.approx(2 * 2_472_266 * 4 * 391 * 40 / 1e6)


def test_only_methods_with_phases_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, monkeypatch)
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("statistic: student", "statistic: exchanged"))
    with pytest.raises(Faults, match="one has no phases between which anything is exchanged"):
        make_plan(open_project(project))


@pytest.mark.parametrize(("given", "planned"), [([], " ".join(PAPERS)), (["PAPER=okddip"], "okddip")])
def test_make_reproduce_is_all_papers_or_one(given: list[str], planned: str) -> None:
    """Printed, not run: whatever params.yaml holds from an earlier choice."""
    said = subprocess.run(["make", "-n", "reproduce", *given], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"okd plan --scale paper {planned} --save" in said
