"""Outcomes of claims: from made-up results near and far from the papers' numbers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from okd.evaluation.claims import claim_records, holm
from okd.evaluation.effects import Cells
from okd.evaluation.finding_records import ClaimRecord, RankRecord
from okd.evaluation.judgement import our_prior
from okd.evaluation.ranking import rankings
from okd.evaluation.records import CellRecord, Measured, TableRecord
from okd.evaluation.tables import Evaluation
from okd.plan.planner import Plan, make_plan
from okd.plan.settings import open_project

ROOT = Path(__file__).parents[2]
N = 3


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(open_project(ROOT), scale="paper")


@pytest.fixture(scope="module")
def empty(plan: Plan) -> list[TableRecord]:
    evaluation = Evaluation(ROOT / "tests", plan, reproduce=[])  # a folder without results
    evaluation.root = ROOT
    return evaluation.tables()


def measured(values: list[float]) -> Measured:
    return Measured(mean=mean(values), spread=stdev(values), values=values)


class World:
    """Tables in which the cells that are given have runs."""

    def __init__(self, plan: Plan, empty: list[TableRecord]) -> None:
        self.plan, self.empty = plan, empty
        self.by_address = {cell.address: cell for cell in plan.cells}
        evaluation = Evaluation(ROOT / "tests", plan, reproduce=[])
        evaluation.root = ROOT
        self.margins, self.results = evaluation.judged_margins(), evaluation.results()

    def near_paper(self, *tables: str, sd: float = 0.05, seed: int = 0) -> dict[str, list[float]]:
        """Runs around the published values."""
        random = np.random.default_rng(seed)
        cells = [cell for table in self.empty if table.id in tables for cell in table.cells]
        return {cell.address: random.normal(cell.published, sd, N).tolist() for cell in cells if cell.published is not None}

    def tables(self, values: Mapping[str, list[float]], diverged: Mapping[str, int]) -> list[TableRecord]:
        def filled(cell: CellRecord) -> CellRecord:
            if cell.address in diverged:
                bad = diverged[cell.address]
                runs = [run.model_copy(update={"state": "diverged" if i < bad else "done"}) for i, run in enumerate(cell.runs)]
                rest = [80.0] * (N - bad)
                ours = Measured(mean=80.0, spread=None, values=rest) if rest else None
                return cell.model_copy(update={"state": "diverged" if bad else "measured", "runs": runs, "ours": ours})
            if cell.address in values:
                return cell.model_copy(update={"state": "measured", "ours": measured(values[cell.address])})
            return cell

        touched = {address.partition("/")[0] for address in (*values, *diverged)}
        return [
            table.model_copy(update={"cells": [filled(cell) for cell in table.cells]}) if table.id in touched else table
            for table in self.empty
        ]

    def cells(self, tables: list[TableRecord]) -> Cells:
        return Cells(
            records={cell.address: cell for table in tables for cell in table.cells},
            planned=self.by_address,
            margins=self.margins,
            priors={table.id: our_prior(table, self.results) for table in tables},
            scale=self.plan.scale,
        )

    def claim(
        self, name: str, values: Mapping[str, list[float]], *, diverged: Mapping[str, int] | None = None, curves: Mapping | None = None
    ) -> ClaimRecord:
        cells = self.cells(self.tables(values, diverged or {}))
        (claim,) = claim_records([claim for claim in self.plan.claims if claim.claim.id == name], cells, curves or {})
        return claim

    def ranks(self, values: Mapping[str, list[float]]) -> list[RankRecord]:
        tables = self.tables(values, {})
        return rankings(tables, self.cells(tables))


@pytest.fixture(scope="module")
def world(plan: Plan, empty: list[TableRecord]) -> World:
    return World(plan, empty)


def changed(values: dict[str, list[float]], change: Callable[[float], float], *addresses: str) -> dict[str, list[float]]:
    return values | {address: [change(value) for value in values[address]] for address in addresses}


def test_the_papers_own_effect_is_reproduced(world: World) -> None:
    claim = world.claim("md-gradual", world.near_paper("md-t6", sd=0.01))
    assert (claim.outcome, claim.missing) == ("reproduced", [])
    assert claim.effect == pytest.approx(0.27, abs=0.03)
    assert claim.printed_effect == pytest.approx(0.27)
    assert claim.low is not None
    assert claim.low > 0


def test_noise_decides_nothing(world: World) -> None:
    assert world.claim("md-gradual", world.near_paper("md-t6", sd=0.5)).outcome == "undecided"


def test_half_the_size_is_smaller_and_twice_is_larger(world: World) -> None:
    paper = world.near_paper("one-text-me", sd=0.05)
    address = "one-text-me/resnet-32/me"
    assert world.claim("one-me-mean", paper).outcome == "reproduced"
    assert world.claim("one-me-mean", changed(paper, lambda value: value - 2.5, address)).outcome == "smaller"
    assert world.claim("one-me-mean", changed(paper, lambda value: value + 5, address)).outcome == "larger"


@pytest.mark.parametrize(
    ("name", "printed", "unit"),
    [
        ("md-logit-scale", (24.41 + 24.2) - (20.5 + 11.3), "logit"),  # of the ranges; a variance is another thing
        ("kdcl-more-networks", (71.87 - 70.1) / 4, "points"),  # of a step from n to n + 1 networks
        ("one-cheaper-kd-dml", ((6.43 - 2.28) + (2.76 - 2.28) + (10.10 - 8.29)) / 3, "1e8 operations"),
        ("one-e-beats-ensembles", None, "points"),  # errors; its costs are counted
        ("kdcl-fewer-params", None, "points"),
        ("md-quoted-gains", (5.94 + 2.88 + 5.07 + 1.28 + 3.73) / 5, "points"),
    ],
)
def test_an_effect_is_a_mean_of_like_things(world: World, name: str, printed: float | None, unit: str) -> None:
    """By hand from the printed tables."""
    claim = world.claim(name, {})
    assert claim.unit == unit
    assert printed is None or claim.printed_effect == pytest.approx(printed, abs=1e-6)


def test_the_other_direction_and_nothing_are_contradicted(world: World) -> None:
    paper = world.near_paper("one-text-me", sd=0.05)
    address = "one-text-me/resnet-32/me"
    assert world.claim("one-me-mean", changed(paper, lambda value: value - 6, address)).outcome == "contradicted"
    same = world.claim("one-me-mean", paper | {address: [26.62, 26.57, 26.64], "one-text-me/resnet-32/one": [26.60, 26.63, 26.59]})
    assert (same.outcome, same.detail) == ("contradicted", "the effect is within 0.5 points of nothing")


def test_one_pair_of_many_contradicts(world: World) -> None:
    paper = world.near_paper("okddip-t4", sd=0.02)
    assert world.claim("okddip-ensemble-best", paper).outcome == "reproduced"
    worse = changed(paper, lambda value: value + 2, "okddip-t4/resnet-32/okddip")
    assert world.claim("okddip-ensemble-best", worse).outcome == "contradicted"


def test_a_missing_cell_leaves_a_claim_not_run(world: World) -> None:
    paper = world.near_paper("okddip-t4")
    paper.pop("okddip-t4/vgg-16/ind")
    claim = world.claim("okddip-ensemble-best", paper)
    assert (claim.outcome, claim.missing, claim.effect) == ("not run", ["okddip-t4/vgg-16/ind"], None)


@pytest.mark.parametrize("state", ["reduced", "data not verified", "too few seeds", "stale", "failed"])
def test_other_cells_are_never_judged(world: World, state: str) -> None:
    tables = world.tables(world.near_paper("one-text-me", sd=0.05), {})
    spoilt = [
        table.model_copy(update={"cells": [cell.model_copy(update={"state": state}) for cell in table.cells]})
        if table.id == "one-text-me"
        else table
        for table in tables
    ]
    found = {claim.id: claim for claim in claim_records(world.plan.claims, world.cells(spoilt), {})}
    assert (found["one-me-mean"].outcome, found["one-me-mean"].effect) == ("not run", None)


def test_what_the_same_runs_give_cancels(world: World) -> None:
    """The gains of two methods share the vanilla runs: however these scatter, the comparison of the gains is as sure as without."""
    quiet = world.near_paper("kdcl-t7", sd=0.05)
    wild = quiet | {f"kdcl-t7/vanilla/{name}": [60.0, 70.0, 80.0] for name in ("resnet-32", "wrn-16-2")}
    names = ("kdcl-t7/kdcl-general-icl/gain", "kdcl-t7/dml/gain")
    for values in (quiet, wild):
        claim = world.claim("kdcl-general-best-c100", values)
        effect = next(one for one in claim.effects if (one.plus[0], one.minus[0]) == names)
        assert effect.high is not None
        assert effect.low is not None
        assert effect.high - effect.low < 1


def test_a_teacher_that_is_its_own_baseline_is_equal_for_sure(world: World) -> None:
    values = world.near_paper("kdcl-t7", "kdcl-t2", sd=0.05)
    for teacher, vanilla in (
        ("kdcl-t7/2-distill-1/wrn-16-2", "kdcl-t7/vanilla/wrn-16-2"),
        ("kdcl-t7/1-distill-2/resnet-32", "kdcl-t7/vanilla/resnet-32"),
        ("kdcl-t2/kd/resnet-50", "kdcl-t2/vanilla/resnet-50"),
    ):
        values[teacher] = values[vanilla]
        if world.by_address[teacher].replicates:
            assert world.by_address[teacher].replicates == world.by_address[vanilla].replicates
    claim = world.claim("kdcl-one-way", values)
    equal = [one for one in claim.effects if one.kind == "equal"]
    assert [(one.effect, one.low, one.high) for one in equal if world.by_address[one.plus[0]].replicates][:2] == [(0, 0, 0)] * 2


DIVERGED = [f"md-t4/{pair}-m{m}/0.5" for pair in ("alexnet-alexnet", "alexnet-vgg19") for m in (1, 2)]
DIVERGED += [f"md-t4/alexnet-vgg19-m{m}/1" for m in (1, 2)]
FINE = {f"md-t4/alexnet-alexnet-m{m}/1": 0 for m in (1, 2)}


@pytest.mark.parametrize(("bad", "outcome"), [(3, "reproduced"), (0, "contradicted"), (2, "undecided")])
def test_divergence_is_yes_or_no(world: World, bad: int, outcome: str) -> None:
    assert world.claim("md-temperature-diverges", {}, diverged=dict.fromkeys(DIVERGED, bad) | FINE).outcome == outcome


def test_a_run_near_chance_counts_as_diverged(world: World) -> None:
    values = {address: [10.0, 11.0, 10.5] for address in DIVERGED}
    assert world.claim("md-temperature-diverges", values, diverged=FINE).outcome == "reproduced"


@pytest.mark.parametrize("change", ["scale", "data not verified", "other numerics"])
def test_divergence_of_other_runs_than_planned_says_nothing(world: World, change: str) -> None:
    """The same runs as above, but reduced, on unknown data, or computed otherwise."""
    tables = world.tables({}, dict.fromkeys(DIVERGED, 3) | FINE)
    spoilt = [
        table.model_copy(
            update={"cells": [cell.model_copy(update={"state": change}) if cell.address in DIVERGED else cell for cell in table.cells]}
        )
        for table in tables
    ]
    cells = world.cells(tables if change == "scale" else spoilt)
    cells = replace(cells, scale="short") if change == "scale" else cells
    found = {claim.id: claim for claim in claim_records(world.plan.claims, cells, {})}
    assert found["md-temperature-diverges"].outcome == "not run"
    assert set(found["md-temperature-diverges"].missing) >= set(DIVERGED)


def test_a_diverged_cell_leaves_an_effect_undecided(world: World) -> None:
    claim = world.claim("one-me-mean", world.near_paper("one-text-me"), diverged={"one-text-me/resnet-32/one": 1})
    assert (claim.outcome, claim.detail) == ("undecided", "1 of its 2 cells diverged")


def test_curves_are_compared_epoch_by_epoch(world: World) -> None:
    cells = {address: [80.0, 80.1, 80.2] for claim in world.plan.claims if claim.claim.id == "md-curves" for address in claim.addresses}
    above = {address: {epoch: 81.0 if address.endswith("/md") else 80.0 for epoch in range(320)} for address in cells}
    assert world.claim("md-curves", cells, curves=above).outcome == "reproduced"
    once = above | {"md-fig4/cifar-10-vgg/md": above["md-fig4/cifar-10-vgg/md"] | {305: 79.0}}
    assert world.claim("md-curves", cells, curves=once).outcome == "undecided"
    before = above | {"md-fig4/cifar-10-vgg/md": above["md-fig4/cifar-10-vgg/md"] | {200: 79.0}}
    assert world.claim("md-curves", cells, curves=before).outcome == "reproduced"
    below = above | {"md-fig4/cifar-10-vgg/md": dict.fromkeys(range(320), 79.0)}
    assert world.claim("md-curves", cells, curves=below).outcome == "contradicted"


def test_holm() -> None:
    """The example of Holm's correction by hand: 0.01 x 3, 0.03 x 2, max(0.04, 0.06)."""
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


def test_arithmetic_is_no_hypothesis(world: World) -> None:
    """With nothing trained the claims about counted costs hold; none has a p-value, so no other claim pays for it in Holm's correction."""
    decided = [claim for claim in claim_records(world.plan.claims, world.cells(world.empty), {}) if not claim.missing]
    assert [claim.outcome for claim in decided] == ["reproduced"] * 4
    assert [claim.p for claim in decided] == [None] * 4


@pytest.mark.slow
def test_a_claim_that_is_false_is_seldom_reproduced(world: World) -> None:
    """No true effect, 1,000 draws: the direction is wrongly shown in about one of forty, as the two-sided level says."""
    random = np.random.default_rng(1)
    shown = 0
    for _ in range(1000):
        values = {f"one-text-me/resnet-32/{name}": random.normal(28, 0.2, N).tolist() for name in ("one", "me")}
        shown += world.claim("one-me-mean", values).outcome in ("reproduced", "smaller", "larger")
    assert shown <= 40


def test_ranks_count_separated_pairs(world: World) -> None:
    values = world.near_paper("okddip-t2", sd=0.001)
    rank = next(one for one in world.ranks(values) if one.label == "resnet32, cifar100" and one.table == "okddip-t2")
    assert (rank.cells, rank.compared, rank.kept, rank.same_best) == (7, rank.separated, rank.separated, True)
    assert rank.separated == 20  # of 21: DML and ONE are 0.03 apart
    assert rank.tau is not None
    assert rank.tau > 0.85
    swapped = values | {"okddip-t2/resnet-32/baseline": [20.0, 20.1, 20.2]}
    rank = next(one for one in world.ranks(swapped) if one.label == "resnet32, cifar100" and one.table == "okddip-t2")
    assert (rank.kept, rank.same_best) == (14, False)
