"""Claims: all that the reference lists stand in the paper files, name real cells, and agree with the papers' own numbers."""

from pathlib import Path

import pytest
import yaml

from conftest import make_project
from okd.evaluation.finding_records import ClaimRecord
from okd.evaluation.findings import findings
from okd.evaluation.tables import Evaluation
from okd.plan.planner import Plan, make_plan
from okd.plan.settings import open_project
from okd.plan.source import Faults

ROOT = Path(__file__).parents[2]
PARTLY = {"md-structure-diversity", "md-temperature-spread", "md-temperature-best", "md-distillation-epochs", "okddip-net-vs-branch"}
SAID_AS_WELL = {
    "one-cheaper-kd-dml": 3,
    "kdcl-one-way": 2,
    "one-gain-capacity": 3,
}  # comparisons of ours that the reference leaves in the statement


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(open_project(ROOT), scale="paper")


@pytest.fixture(scope="module")
def claims(plan: Plan) -> dict[str, ClaimRecord]:
    """With no result at all, wherever this runs."""
    evaluation = Evaluation(ROOT / "tests", plan, reproduce=[])
    evaluation.root = ROOT
    return {claim.id: claim for claim in findings(evaluation, evaluation.tables()).claims}


def test_forty_claims_and_five_more(plan: Plan) -> None:
    by_paper = {name: len(paper.claims) for name, paper in plan.papers.items()}
    assert by_paper.items() >= {"kdcl": 10, "md": 15, "okddip": 9, "one": 11}.items()
    extras = {"one-gain-capacity", "one-soft-label", "okddip-net-vs-branch", "md-logit-scale", "md-mixture-bound"}
    assert len(extras) == 5
    assert len(PARTLY - extras) == 4
    assert extras <= {claim.id for paper in plan.papers.values() for claim in paper.claims}


def test_the_papers_own_numbers_satisfy_all_but_these(claims: dict[str, ClaimRecord]) -> None:
    assert {name for name, claim in claims.items() if claim.printed.holds == "partly"} == PARTLY
    assert not [name for name, claim in claims.items() if claim.printed.holds == "no"]
    silent = {name for name, claim in claims.items() if claim.printed.holds == "no numbers printed"}
    assert silent == {"one-me-correlation", "md-curves", "md-student-number"}


def test_without_runs_only_counted_and_computed_claims_are_decided(claims: dict[str, ClaimRecord]) -> None:
    decided = {name: claim.outcome for name, claim in claims.items() if claim.outcome != "not run"}
    assert decided == dict.fromkeys(["one-cheaper-kd-dml", "one-same-size", "one-soft-label", "md-mixture-bound"], "reproduced")


def test_claims_are_the_reference(claims: dict[str, ClaimRecord], reference: Path) -> None:
    listed = yaml.safe_load((reference / "papers" / "claims.yaml").read_text(encoding="utf-8"))
    expected = {claim["id"]: claim for claim in [*listed["claims"], *listed["extras"]]}
    assert claims.keys() == expected.keys()
    for name, claim in claims.items():
        printed, more = expected[name]["printed"], SAID_AS_WELL.get(name, 0)
        assert claim.paper == expected[name]["paper"]
        assert claim.stated == expected[name]["stated"].replace("table (our reading)", "our reading"), name
        assert claim.printed.holds == printed["holds"].removesuffix(" (mathematical)"), name
        if "pairs" in printed:
            assert claim.printed.pairs == printed["pairs"] + more, name
            held = printed.get("hold", printed.get("above_better_of_same_pair", printed["pairs"]))
            assert claim.printed.hold == held + more, name
        if "smallest" in printed and not more:
            assert (claim.printed.smallest, claim.printed.largest) == (printed["smallest"], printed["largest"]), name


def test_ones_gain_shrinks_from_network_to_network(claims: dict[str, ClaimRecord]) -> None:
    """The reference's statement names the gains on CIFAR-100: 4.57, 3.71, 1.70, 1.18."""
    steps = [effect for effect in claims["one-gain-capacity"].effects if all(address.endswith("/cifar100") for address in effect.plus)]
    assert [effect.printed for effect in steps] == [pytest.approx(a - b) for a, b in ((4.57, 3.71), (3.71, 1.70), (1.70, 1.18))]


def write(project: Path, criterion: str, *, name: str = "tiny-claim") -> None:
    file = project / "papers" / "tiny.yaml"
    claim = f"claims:\n  - {{id: {name}, statement: s, source: s, stated: table, criteria: [{{{criterion}}}]}}\ntables:"
    file.write_text(file.read_text().replace("tables:", claim))


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ("better: [tiny-t1/resnet-8/oen, tiny-t1/resnet-8/baseline]", r"tiny\.yaml:8: .*no cell 'tiny-t1/resnet-8/oen', did you mean"),
        ("better: ['tiny-t1/*/one', tiny-t1/resnet-8/baseline]", "all sides need equally many"),
        ("better: [tiny-t1/resnet-8/one]", "better"),
        ("better: [a, b], lower: [a, b]", "give exactly one of"),
        ("lower: [a, b], within: 1", "within belongs to equal"),
        ("above: [a, b]", "above needs epochs"),
        ("bettr: [a, b]", r"criteria\.0\.bettr: unknown key"),
        ("mixture: {label: [1, 0], predictions: [[1, 0], [0, 1]], weights: [1, 1]}", "sum to 1"),
    ],
)
def test_a_wrong_criterion_is_a_fault_with_its_place(project: Path, criterion: str, problem: str) -> None:
    write(project, criterion)
    with pytest.raises(Faults, match=problem):
        make_plan(open_project(project))


def test_a_claim_needs_a_name_of_its_own(project: Path) -> None:
    write(project, "better: [tiny-t1/resnet-8/one, tiny-t1/resnet-8/baseline]", name="tiny-t1")
    with pytest.raises(Faults, match="'tiny-t1' is already a table"):
        make_plan(open_project(project))


def test_a_claim_is_a_target(project: Path) -> None:
    write(project, "better: ['tiny-t1/*/{one,okddip}', 'tiny-t1/*/baseline']")
    plan = make_plan(open_project(project), targets=["tiny-claim"])
    assert plan.addresses == {f"tiny-t1/resnet-8/{name}" for name in ("one", "okddip", "baseline")}
    assert len(plan.to_do) == 3
    assert [claim.claim.id for claim in plan.decided()] == ["tiny-claim"]
    assert make_plan(open_project(project), targets=["tiny-t1/resnet-8/one"]).decided() == []


def test_params_may_name_a_claim_and_misspell_it(project: Path) -> None:
    write(project, "better: [tiny-t1/resnet-8/one, tiny-t1/resnet-8/baseline]")
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("[tiny]", "[tiny-claim]"))
    assert len(make_plan(open_project(project)).to_do) == 2
    file.write_text(file.read_text().replace("[tiny-claim]", "[tiny-clam]"))
    with pytest.raises(Faults, match="did you mean 'tiny-claim'"):
        make_plan(open_project(project))


def test_patterns_match_stars_and_equal_braces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, monkeypatch)
    write(project, "better: ['tiny-t1/{resnet-8}/{one,okddip}', 'tiny-t1/{resnet-8}/{baseline,kd}']")
    (claim,) = make_plan(open_project(project)).claims
    pairs = [tuple(term.addresses[0].rpartition("/")[2] for term in one.effects[0]) for one in claim.comparisons]
    assert sorted(pairs) == [("okddip", "baseline"), ("okddip", "kd"), ("one", "baseline"), ("one", "kd")]
