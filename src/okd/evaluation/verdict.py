"""Whether our number is the paper's: an interval of the difference against a margin that was fixed before training.

The rule is two one-sided tests at 5 % each: a difference "matches" when its 90 % interval lies inside the margin. That a difference is
not significant never means that two numbers match.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
from scipy.special import digamma, ndtr, ndtri, polygamma, stdtr, stdtrit

Word = Literal["matches", "better", "worse", "undecided", "cannot be decided"]

CONFIDENCE = 0.90
MODERATED_FROM = 8  # cells; under that a variance stands for itself
ASSUMED_N = 3  # runs behind a published value that does not say
OTHER_N = (1, 5)
CAUTION = 0.5  # standard errors: cells never count as more alike than their number can show. This and the next by simulation, see LOG.md
PRIOR_COST = 0.5  # of the table's degrees: the prior's variance is itself an estimate


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What a table's cells say about a variance before its own runs do [Smyth 2004, section 6.2]."""

    degrees: float  # d0
    variance: float  # s0^2
    pooled: float = inf  # degrees of freedom of all cells together, from which the prior was estimated

    def moderate(self, variance: float, degrees: int) -> tuple[float, float]:
        """A cell's variance shrunk towards the prior, and its degrees of freedom: Smyth's, less what the prior itself is unsure of."""
        total = self.degrees + degrees
        shrunk = (self.degrees * self.variance + degrees * variance) / total
        return shrunk, max(1 / (1 / total + PRIOR_COST / self.pooled), degrees)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean's standard deviation between runs, as far as it is known."""

    variance: float
    degrees: float
    n: int
    is_moderated: bool = False

    @property
    def of_mean(self) -> float:
        return self.variance / self.n

    def of_runs(self, n: int) -> "Spread":
        """The same spread, known from n runs."""
        return Spread(variance=self.variance, degrees=self.degrees + n - self.n, n=n)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    word: Word
    difference: float  # ours minus the paper's
    low: float  # of the 90 % interval of the difference
    high: float
    margin: float
    fragile: bool  # another reading of the paper's +- or of its n gives another word


def fit_prior(variances: Sequence[float], degrees: int) -> Prior | None:
    """Empirical-Bayes prior from the variances of a table's cells, each with the same degrees of freedom; None if there are too few."""
    kept = np.array([value for value in variances if value > 0])
    if len(kept) < MODERATED_FROM or degrees < 1:
        return None
    e = np.log(kept) - digamma(degrees / 2) + np.log(degrees / 2)
    chance = float(polygamma(1, degrees / 2))  # variance of e where all cells share one spread
    excess = max(float(e.var(ddof=1)) - chance, CAUTION * chance * sqrt(2 / (len(kept) - 1)))
    d0 = 2 * _inverse_trigamma(excess)
    variance = float(np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2)))
    return Prior(degrees=d0, variance=variance, pooled=float(len(kept) * degrees))


def _inverse_trigamma(value: float) -> float:
    """Newton's method from Smyth's start; converges from above for every value above 0."""
    y = 0.5 + 1 / value
    for _ in range(50):
        step = float(polygamma(1, y) * (1 - polygamma(1, y) / value) / polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y


def spread_of(variance: float | None, n: int, prior: Prior | None) -> Spread | None:
    """The spread behind a mean of n runs; None where one run has no prior to lean on."""
    degrees = n - 1
    if prior is not None:
        shrunk, total = prior.moderate(variance or 0.0, degrees)
        return Spread(variance=shrunk, degrees=total, n=n, is_moderated=True)
    return Spread(variance=variance, degrees=degrees, n=n) if variance is not None and degrees else None


def welch(parts: Sequence[tuple[float, float]], rounding: float = 0.0) -> tuple[float, float]:
    """Standard error of a sum and its degrees of freedom, from each part's variance of a mean and degrees [Welch, Satterthwaite]."""
    total = sum(variance for variance, _ in parts)
    shares = sum(variance**2 / degrees for variance, degrees in parts if degrees != inf)
    return sqrt(total + rounding), total**2 / shares if shares > 0 else inf


def interval(
    difference: float, parts: Sequence[tuple[float, float]], rounding: float = 0.0, confidence: float = CONFIDENCE, most: float = inf
) -> tuple[float, float]:
    """Interval of a difference from its parts, each a variance of a mean with its degrees of freedom; together at `most` so many."""
    error, degrees = welch(parts, rounding)
    degrees = min(degrees, most)
    quantile = stdtrit(degrees, (1 + confidence) / 2) if degrees != inf else ndtri((1 + confidence) / 2)
    return difference - float(quantile) * error, difference + float(quantile) * error


def chance_above(difference: float, parts: Sequence[tuple[float, float]], threshold: float = 0.0) -> float:
    """One-sided p-value of "the true difference is not above the threshold"."""
    error, degrees = welch(parts)
    if error == 0:
        return 0.0 if difference > threshold else 1.0
    score = (difference - threshold) / error
    return float(stdtr(degrees, -score) if degrees != inf else ndtr(-score))


def word_of(low: float, high: float, margin: float, *, lower_is_better: bool) -> Word:
    if -margin < low and high < margin:
        return "matches"
    if low > margin:
        return "worse" if lower_is_better else "better"
    if high < -margin:
        return "better" if lower_is_better else "worse"
    return "undecided"


def judge(
    ours: float,
    spread: Spread,
    published: float,
    published_spread: float | None,
    *,
    margin: float,
    decimals: int,
    lower_is_better: bool,
    prior: Prior | None = None,
) -> Verdict:
    """The verdict on one cell. `prior` is that of the paper's own spreads in this table.

    A value printed without a spread is one draw from runs like ours: the interval is a prediction interval, whose two parts are one
    variance. Where both sides are moderated, what a table says of spreads is not counted twice: their degrees do not add.
    """
    difference, rounding = ours - published, 10.0 ** (-2 * decimals) / 12

    def decide(n: int, scale: float) -> tuple[Word, float, float]:
        part = _paper_part(published_spread, spread, n, scale, prior)
        parts = [(spread.of_mean, spread.degrees), part] if published_spread is not None else [(spread.of_mean + part[0], spread.degrees)]
        most = max(degrees for _, degrees in parts) if prior is not None and spread.is_moderated else inf
        low, high = interval(difference, parts, rounding, most=most)
        word = word_of(low, high, margin, lower_is_better=lower_is_better)
        # Were our mean exact, could any difference at all match?
        reach = interval(0.0, [part], rounding)[1]
        return ("cannot be decided" if word == "undecided" and reach >= margin else word), low, high

    word, low, high = decide(ASSUMED_N, 1.0)
    others = [decide(n, 1.0) for n in OTHER_N] if published_spread is not None else []
    # The +- may be a standard error, or a standard deviation divided by n instead of n - 1.
    others += [decide(ASSUMED_N, scale) for scale in (sqrt(ASSUMED_N), sqrt(ASSUMED_N / (ASSUMED_N - 1)))] if published_spread else []
    return Verdict(
        word=word, difference=difference, low=low, high=high, margin=margin, fragile=any(other != word for other, _, _ in others)
    )


def _paper_part(published_spread: float | None, ours: Spread, n: int, scale: float, prior: Prior | None) -> tuple[float, float]:
    """Variance and degrees of freedom of the published mean."""
    if published_spread is None:
        return ours.variance, ours.degrees
    variance, degrees = (published_spread * scale) ** 2, max(1, n - 1)
    if prior is not None:
        variance, degrees = prior.moderate(variance, degrees)
    return variance / n, degrees
