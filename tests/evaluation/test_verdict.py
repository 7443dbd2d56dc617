"""The rule behind a verdict: its error rate and its coverage by simulation, its prior against a known answer."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from okd.evaluation.verdict import Prior, Spread, fit_prior, interval, judge, spread_of, word_of


def simulate_matches(n: int, *, true: float, margin: float = 0.5, sd: float = 0.2, draws: int = 20_000) -> float:
    """Share of "matches" at a true difference, both sides with n runs of the same spread."""
    random = np.random.default_rng(n)
    ours = random.normal(true, sd, (draws, n))
    paper = random.normal(0, sd, (draws, 3))
    hits = 0
    for mine, theirs in zip(ours, paper, strict=True):
        spread = Spread(variance=float(mine.var(ddof=1)), degrees=n - 1, n=n)
        verdict = judge(
            float(mine.mean()),
            spread,
            float(theirs.mean()),
            float(theirs.std(ddof=1)),
            margin=margin,
            decimals=4,
            lower_is_better=True,
        )
        hits += verdict.word == "matches"
    return hits / draws


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 5])
def test_at_the_margin_at_most_five_percent_match(n: int) -> None:
    assert simulate_matches(n, true=0.5) <= 0.05 + 0.004  # two standard errors of the simulation


@pytest.mark.slow
def test_a_perfect_replication_matches_more_with_more_seeds() -> None:
    rates = [simulate_matches(n, true=0.0, draws=4000) for n in (2, 3, 5)]
    assert rates == sorted(rates)
    assert rates[-1] > 0.7


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers_what_it_says(n: int) -> None:
    random = np.random.default_rng(n)
    runs = random.normal(0, 1, (20_000, n))
    variances = runs.var(axis=1, ddof=1)
    covered = 0
    for mean, variance in zip(runs.mean(axis=1), variances, strict=True):
        low, high = interval(float(mean), [(float(variance) / n, n - 1)])
        covered += low < 0 < high
    assert covered / 20_000 == pytest.approx(0.90, abs=0.01)


@pytest.mark.parametrize("n", [3, 5])
def test_moderated_intervals_cover_too_and_are_narrower(n: int) -> None:
    """A table of 30 cells whose true variances differ: shrinking keeps the coverage and saves width."""
    random = np.random.default_rng(7)
    covered = narrower = cells = 0
    for _ in range(300):
        true = 0.04 * 8 / random.chisquare(8, 30)
        runs = random.normal(0, np.sqrt(true)[:, None], (30, n))
        variances = runs.var(axis=1, ddof=1)
        prior = fit_prior(variances.tolist(), n - 1)
        assert prior is not None
        for mean, variance in zip(runs.mean(axis=1), variances, strict=True):
            plain = interval(float(mean), [(float(variance) / n, n - 1)])
            spread = spread_of(float(variance), n, prior)
            assert spread is not None
            low, high = interval(float(mean), [(spread.of_mean, spread.degrees)])
            covered += low < 0 < high
            narrower += (high - low) / (plain[1] - plain[0]) < 1
            cells += 1
    assert covered / cells == pytest.approx(0.90, abs=0.015)
    assert narrower / cells > 0.5


def test_one_mean_equals_scipys_t_interval() -> None:
    runs = np.array([26.16, 25.95, 26.05, 26.31])
    low, high = interval(float(runs.mean()), [(float(runs.var(ddof=1)) / 4, 3)])
    expected = ttest_1samp(runs, 0).confidence_interval(0.90)
    assert (low, high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_prior_recovers_what_made_the_variances() -> None:
    random = np.random.default_rng(1)
    true = 0.09 * 6 / random.chisquare(6, 5000)
    variances = true * random.chisquare(2, 5000) / 2
    prior = fit_prior(variances.tolist(), 2)
    assert prior is not None
    assert prior.degrees == pytest.approx(6, rel=0.15)
    assert prior.variance == pytest.approx(0.09, rel=0.05)


def test_equal_variances_count_as_alike_as_their_number_can_show() -> None:
    priors = [fit_prior([0.04] * cells, 2) for cells in (8, 30, 1000)]
    degrees = [prior.degrees for prior in priors if prior]
    assert degrees == sorted(degrees)
    assert 4 < degrees[0] < 8
    assert degrees[2] > 30
    assert fit_prior([0.04] * 7, 2) is None


def test_a_shrunk_variance_is_known_no_better_than_its_table() -> None:
    prior = Prior(degrees=50.0, variance=0.04, pooled=16.0)
    variance, degrees = prior.moderate(0.09, 2)
    assert variance == pytest.approx((50 * 0.04 + 2 * 0.09) / 52)
    assert 16 < degrees < 32 < 52
    assert Prior(degrees=0.1, variance=0.04, pooled=16.0).moderate(0.09, 2)[1] == 2  # nor worse than by itself


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "word"),
    [
        (-0.4, 0.4, True, "matches"),
        (-0.6, 0.4, True, "undecided"),
        (0.6, 0.9, True, "worse"),
        (0.6, 0.9, False, "better"),
        (-0.9, -0.6, True, "better"),
        (-0.9, -0.6, False, "worse"),
        (0.1, 0.6, True, "undecided"),
    ],
)
def test_words(low: float, high: float, lower_is_better: bool, word: str) -> None:
    assert word_of(low, high, 0.5, lower_is_better=lower_is_better) == word


def cell(**changes) -> str:
    ours = Spread(variance=0.01, degrees=20, n=3)
    given = {"margin": 0.5, "decimals": 2, "lower_is_better": True, **changes}
    return judge(25.7, ours, 25.63, given.pop("published_spread", 0.14), **given).word


def test_a_noisy_paper_cannot_be_decided() -> None:
    assert cell() == "matches"
    assert cell(published_spread=0.5) == "cannot be decided"


def test_one_printed_number_is_one_draw() -> None:
    ours = Spread(variance=0.01, degrees=20, n=3)
    verdict = judge(25.7, ours, 25.63, None, margin=0.5, decimals=2, lower_is_better=True)
    assert verdict.word == "matches"
    half = 1.7247 * (0.01 * (1 + 1 / 3)) ** 0.5  # t with the 20 degrees of the one variance in it, from a printed table
    assert verdict.high - verdict.low == pytest.approx(2 * half, rel=1e-3)


def test_a_verdict_that_hangs_on_the_papers_n_says_so() -> None:
    ours = Spread(variance=0.01, degrees=20, n=3)
    assert judge(25.95, ours, 25.63, 0.10, margin=0.5, decimals=2, lower_is_better=True).fragile
    assert not judge(25.63, ours, 25.63, 0.01, margin=0.5, decimals=2, lower_is_better=True).fragile
