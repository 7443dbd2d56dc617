"""How often the rule says "matches" of a perfect replication, and how often its moderated intervals cover the truth: by simulation.

The reference's power table does not say which of OKDDip's spreads it takes for the true ones, nor how. With those of Table 2 (CIFAR-100)
as they are printed our power is higher everywhere; taken for spreads with n in the denominator (times 1.22) they give 0.45, 0.77, 0.92
with three seeds, where the reference has 0.31, 0.70, 0.90. Of some 2,500 readings that were tried (tables, rows, priors, n of the
paper, level) none meets all nine figures within 0.03; the nearest is 0.04 away. What is pinned here is ours.
"""

from pathlib import Path

import numpy as np
import pytest

from okd.evaluation.verdict import Prior, fit_prior, interval, spread_of, word_of
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
    found = power(spreads, n, moderated=False)
    assert found == pytest.approx(WELCH[n], abs=0.03)
    assert all(ours >= theirs - 0.03 for ours, theirs in zip(found, REFERENCE[n], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 8])
def test_power_with_moderated_intervals(spreads: np.ndarray, n: int) -> None:
    assert power(spreads, n, moderated=True) == pytest.approx(MODERATED[n], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "least", "most"), [(2, 0.87, 0.91), (3, 0.89, 0.91), (5, 0.89, 0.91), (10, 0.89, 0.91)])
def test_moderated_intervals_cover_what_they_say(n: int, least: float, most: float) -> None:
    """Tables of 30 cells whose true variances differ as the model has it (6 degrees): 45,000 intervals of 90 %."""
    random, covered, draws = np.random.default_rng(n), 0, 0
    for _ in range(1500):
        true = 0.04 * 6 / random.chisquare(6, 30)
        runs = random.normal(0, np.sqrt(true)[:, None], (30, n))
        variances = runs.var(axis=1, ddof=1)
        prior = fit_prior(variances.tolist(), n - 1)
        for mean, variance in zip(runs.mean(axis=1), variances, strict=True):
            low, high = interval(float(mean), [part(float(variance), n, prior)])
            covered += low < 0 < high
            draws += 1
    assert draws == 45_000
    assert least <= covered / draws <= most
