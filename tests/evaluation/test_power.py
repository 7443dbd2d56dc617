"""How often the rule says "matches" of a perfect replication, and how often its moderated intervals cover the truth: by simulation.

The reference's power table does not say which true spreads it takes. Under its own rule (Welch's 90 % interval, three runs behind the
paper's value) a cell's power depends on its spread alone, so that a table's power is a mixture over spreads: a linear programme finds
the mixture that comes nearest to the reference. None comes nearer than 0.03, whatever the spreads: its figures rest on another rule than
the one that it states. What is pinned here is ours, with OKDDip's spreads on CIFAR-100 as printed.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from okd.evaluation.verdict import Prior, fit_prior, interval, judge, spread_of, word_of
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

ROOT = Path(__file__).parents[2]
MARGINS = (0.3, 0.5, 0.75)
PAPER_N = 3
REFERENCE = {3: (0.31, 0.70, 0.90), 5: (0.45, 0.84, 0.96), 8: (0.54, 0.89, 0.97)}  # Welch
WELCH = {3: (0.59, 0.86, 0.96), 5: (0.69, 0.92, 0.97), 8: (0.73, 0.92, 0.98)}
MODERATED = {3: (0.76, 0.94, 0.98), 5: (0.82, 0.96, 0.99), 8: (0.85, 0.97, 0.99)}

Part = tuple[float, float]


@pytest.fixture(scope="module")
def spreads() -> np.ndarray:
    """OKDDip's printed spreads on CIFAR-100, Table 2."""
    cells = make_plan(open_project(ROOT), scale="paper").cells
    found = [cell.placed.published.spread for cell in cells if cell.placed.table.id == "okddip-t2" and cell.placed.published]
    assert len(found) == 35
    return np.array(found, dtype=float)


def part(variance: float, n: int, prior: Prior | None) -> Part:
    spread = spread_of(variance, n, prior)
    assert spread is not None
    return spread.of_mean, spread.degrees


def power(spreads: np.ndarray, n: int, *, moderated: bool, tables: int = 150) -> list[float]:
    """Share of "matches" by margin, over whole tables of cells that have the paper's spreads and no true difference."""
    random, hits, cells = np.random.default_rng(n), np.zeros(len(MARGINS)), 0
    for _ in range(tables):
        ours = random.normal(0, spreads[:, None], (len(spreads), n))
        paper = random.normal(0, spreads[:, None], (len(spreads), PAPER_N))
        variances, printed = ours.var(axis=1, ddof=1), paper.var(axis=1, ddof=1)
        priors = (fit_prior(variances.tolist(), n - 1), fit_prior(printed.tolist(), PAPER_N - 1)) if moderated else (None, None)
        for index in range(len(spreads)):
            parts = [part(float(variances[index]), n, priors[0]), part(float(printed[index]), PAPER_N, priors[1])]
            low, high = interval(float(ours[index].mean() - paper[index].mean()), parts)
            hits += [word_of(low, high, margin, lower_is_better=True) == "matches" for margin in MARGINS]
            cells += 1
    return (hits / cells).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 8])
def test_power_with_welchs_intervals(spreads: np.ndarray, n: int) -> None:
    assert power(spreads, n, moderated=False) == pytest.approx(WELCH[n], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 8])
def test_power_with_moderated_intervals(spreads: np.ndarray, n: int) -> None:
    assert power(spreads, n, moderated=True) == pytest.approx(MODERATED[n], abs=0.03)


def power_by_spread(grid: np.ndarray, draws: int = 20_000) -> np.ndarray:
    """(seeds x margins, spreads): share of "matches" with Welch's intervals by the true spread of a cell.

    An interval scales with the spread: a draw matches wherever spread x (|difference| + half width) is below the margin.
    """
    rows = list[np.ndarray]()
    for n in REFERENCE:
        random = np.random.default_rng(n)
        difference = random.normal(0, 1 / np.sqrt(n), draws) - random.normal(0, 1 / np.sqrt(PAPER_N), draws)
        ours = random.chisquare(n - 1, draws) / (n - 1) / n
        paper = random.chisquare(PAPER_N - 1, draws) / (PAPER_N - 1) / PAPER_N
        reach = [interval(abs(d), [(a, n - 1), (b, PAPER_N - 1)])[1] for d, a, b in zip(difference, ours, paper, strict=True)]
        rows += [np.searchsorted(np.sort(reach), margin / grid) / draws for margin in MARGINS]
    return np.array(rows)


def nearest_mixture(by_spread: np.ndarray, wanted: np.ndarray) -> float:
    """The least possible largest distance between the wanted powers and those of a mixture of spreads."""
    size = by_spread.shape[1]
    distance = -np.ones((len(wanted), 1))
    found = linprog(
        np.r_[np.zeros(size), 1],
        A_ub=np.block([[by_spread, distance], [-by_spread, distance]]),
        b_ub=np.r_[wanted, -wanted],
        A_eq=np.r_[np.ones(size), 0][None],
        b_eq=[1],
    )
    assert found.success
    return float(found.x[-1])


def test_no_spreads_at_all_give_the_references_power(spreads: np.ndarray) -> None:
    grid = np.geomspace(0.01, 3.0, 150)
    by_spread = power_by_spread(grid)
    assert nearest_mixture(by_spread, np.concatenate([*REFERENCE.values()])) > 0.025
    ours = by_spread[:, np.searchsorted(grid, spreads)].mean(axis=1)  # a power table that some spreads do give
    assert nearest_mixture(by_spread, ours.round(2)) <= 0.005
    assert ours == pytest.approx(np.concatenate([*WELCH.values()]), abs=0.03)


CELLS = 20_000


def coverage(cells: int, n: int, true_degrees: float | None) -> float:
    """Percent of 20,000 intervals of 90 %, in tables of so many cells, that cover the truth.

    Spreads differ as the model has it, with so many degrees of freedom, or not at all.
    """
    random, covered, draws = np.random.default_rng(1000 * cells + n), 0, 0
    for _ in range(CELLS // cells):
        true = np.ones(cells) if true_degrees is None else true_degrees / random.chisquare(true_degrees, cells)
        runs = random.normal(0, np.sqrt(true)[:, None], (cells, n))
        variances = runs.var(axis=1, ddof=1).tolist()
        prior = fit_prior(variances, n - 1)
        for mean, variance in zip(runs.mean(axis=1).tolist(), variances, strict=True):
            low, high = interval(mean, [part(variance, n, prior)])
            covered += low < 0 < high
            draws += 1
    return 100 * covered / draws


def test_small_tables_cover_what_they_say() -> None:
    assert coverage(8, 3, 6) == pytest.approx(90, abs=1)


def test_without_caution_small_tables_fall_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule as it was: Smyth's degrees, as if the prior were known."""
    monkeypatch.setattr("okd.evaluation.verdict.PRIOR_COST", 0.0)
    monkeypatch.setattr("okd.evaluation.verdict.CAUTION", 0.01)
    assert coverage(8, 3, 6) < 89


@pytest.mark.slow
@pytest.mark.parametrize("true_degrees", [3, 6, None])
@pytest.mark.parametrize("cells", [8, 35])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_tables_of_every_size_cover_what_they_say(cells: int, n: int, true_degrees: float | None) -> None:
    assert coverage(cells, n, true_degrees) == pytest.approx(90, abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("true_degrees", [3, 6, None])
@pytest.mark.parametrize("cells", [8, 35])
def test_two_runs_a_cell_cover_within_two_points(cells: int, true_degrees: float | None) -> None:
    assert 89 <= coverage(cells, 2, true_degrees) <= 92


def false_matches(n: int, cells: int, *, spread_printed: bool) -> float:
    """Percent of "matches" among 20,000 cells of moderated tables whose true difference is the margin."""
    random, hits, draws = np.random.default_rng(n + cells), 0, 0
    for _ in range(CELLS // cells):
        true = 0.01 * 6 / random.chisquare(6, cells)
        ours = random.normal(0.5, np.sqrt(true)[:, None], (cells, n))
        paper = random.normal(0, np.sqrt(true)[:, None], (cells, PAPER_N if spread_printed else 1))
        variances, printed = ours.var(axis=1, ddof=1), paper.std(axis=1, ddof=min(1, paper.shape[1] - 1))
        mine = fit_prior(variances.tolist(), n - 1)
        theirs = fit_prior((printed**2).tolist(), PAPER_N - 1) if spread_printed else None
        for index in range(cells):
            spread = spread_of(float(variances[index]), n, mine)
            assert spread is not None
            verdict = judge(
                float(ours[index].mean()),
                spread,
                float(paper[index].mean()),
                float(printed[index]) if spread_printed else None,
                margin=0.5,
                decimals=4,
                lower_is_better=True,
                prior=theirs,
            )
            hits += verdict.word == "matches"
            draws += 1
    return 100 * hits / draws


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "spread_printed"), [(8, True), (35, True), (8, False)])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_at_the_margin_at_most_five_percent_of_moderated_cells_match(n: int, cells: int, spread_printed: bool) -> None:
    assert false_matches(n, cells, spread_printed=spread_printed) <= 5.3  # two standard errors of the simulation
