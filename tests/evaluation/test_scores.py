"""Statistics from predictions, each against a computation of its own."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import euclidean
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from okd.evaluation.scores import Predictions, collapsed, statistic


def predictions(seed: int, rows: tuple[str, ...], *, count: int = 200, classes: int = 10) -> Predictions:
    random = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {"labels": np.arange(count) % classes}
    for row in rows:
        logits = random.normal(size=(count, classes)).astype(np.float32) * 3
        logits[np.arange(count), arrays["labels"]] += 2
        arrays[row] = logits.astype(np.float16)
        arrays[f"{row}_top5"] = np.argsort(-logits, axis=1, kind="stable")[:, :5].astype(np.int16)
    return Predictions(arrays)


GROUP = predictions(0, ("student_0", "student_1", "student_2", "leader", "teacher"))


def of(name: str, *replicate: Predictions, mix: str = "logits", top: int = 1, student: int | None = None) -> float:
    return statistic(name, replicate or (GROUP,), mix=mix, top=top, student=student)


def sklearn_error(row: str, top: int = 1) -> float:
    logits = GROUP.logits(row)
    if top == 1:
        return 100 * (1 - float(accuracy_score(GROUP.labels, logits.argmax(axis=1))))
    return 100 * (1 - float(top_k_accuracy_score(GROUP.labels, logits, k=top)))


@pytest.mark.parametrize("top", [1, 5])
def test_errors_equal_scikit_learns(top: int) -> None:
    students = [sklearn_error(f"student_{m}", top) for m in range(3)]
    assert of("student", top=top) == pytest.approx(np.mean(students))
    assert of("student_1", top=top) == of("student", top=top, student=1) == pytest.approx(students[1])
    assert of("best_student", top=top) == pytest.approx(min(students))
    assert of("leader", top=top) == pytest.approx(sklearn_error("leader", top))
    assert of("teacher", top=top) == pytest.approx(sklearn_error("teacher", top))


def test_the_leader_is_no_member_of_an_ensemble() -> None:
    mean = np.mean([GROUP.logits(f"student_{m}") for m in range(3)], axis=0)
    assert of("ensemble") == pytest.approx(100 * float((mean.argmax(axis=1) != GROUP.labels).mean()))


def test_an_ensemble_of_probabilities_is_another_one() -> None:
    probabilities = np.zeros((200, 10))
    for m in range(3):
        for n, row in enumerate(GROUP.logits(f"student_{m}")):
            exponentials = [math.exp(value) for value in row]
            probabilities[n] += [value / sum(exponentials) for value in exponentials]
    expected = 100 * float((probabilities.argmax(axis=1) != GROUP.labels).mean())
    assert of("ensemble", mix="probabilities") == pytest.approx(expected)


def test_snapshots_are_the_ensemble_where_there_are_any() -> None:
    kept = predictions(1, ("student_0", "snapshot_0", "snapshot_1"))
    mean = (kept.logits("snapshot_0") + kept.logits("snapshot_1")) / 2
    assert of("ensemble", kept) == pytest.approx(100 * float((mean.argmax(axis=1) != kept.labels).mean()))


def test_joined_runs_are_one_ensemble() -> None:
    one, two = predictions(2, ("student_0",)), predictions(3, ("student_0",))
    mean = (one.logits("student_0") + two.logits("student_0")) / 2
    assert of("ensemble", one, two) == pytest.approx(100 * float((mean.argmax(axis=1) != one.labels).mean()))


def probabilities_of(one: Predictions) -> list[np.ndarray]:
    return [special.softmax(one.logits(f"student_{m}"), axis=1) for m in range(3)]


@pytest.mark.parametrize("top", [1, 5])
def test_ensembles_equal_scipys_and_scikit_learns(top: int) -> None:
    means = {
        "logits": np.mean([GROUP.logits(f"student_{m}") for m in range(3)], axis=0),
        "probabilities": np.mean(probabilities_of(GROUP), axis=0),
    }
    for mix, mean in means.items():
        assert of("ensemble", mix=mix, top=top) == pytest.approx(100 * (1 - float(top_k_accuracy_score(GROUP.labels, mean, k=top)))), mix


def test_how_far_members_are_apart_equals_scipys() -> None:
    pairs = list(combinations(probabilities_of(GROUP), 2))
    distances = [euclidean(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)]
    assert of("disagreement") == pytest.approx(np.mean(distances))
    correlations = np.array([stats.pearsonr(one.ravel(), two.ravel())[0] for one, two in pairs], dtype=float)
    assert of("correlation") == pytest.approx(correlations.mean())


def test_the_variance_of_logits_equals_scipys() -> None:
    described = [stats.describe(GROUP.logits(f"student_{m}").ravel(), ddof=0) for m in range(3)]
    assert of("logit_variance") == pytest.approx(np.mean([one.variance for one in described]))
    assert (of("logit_min"), of("logit_max")) == (min(one.minmax[0] for one in described), max(one.minmax[1] for one in described))


def test_the_calibration_error_equals_scikit_learns() -> None:
    errors = list[float]()
    for probabilities in probabilities_of(GROUP):
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == GROUP.labels
        accurate, sure = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
        counts = np.histogram(confidence, bins=15, range=(0, 1))[0]
        errors.append(100 * float(np.average(np.abs(accurate - sure), weights=counts[counts > 0])))
    assert of("calibration") == pytest.approx(np.mean(errors))


def softmax(row: np.ndarray) -> np.ndarray:
    return np.exp(row) / np.exp(row).sum()


def test_disagreement_and_correlation() -> None:
    rows = [np.stack([softmax(row) for row in GROUP.logits(f"student_{m}")]) for m in range(3)]
    distances = [math.dist(a, b) for one, two in combinations(rows, 2) for a, b in zip(one, two, strict=True)]
    assert of("disagreement") == pytest.approx(np.mean(distances))
    expected = np.mean([np.corrcoef(np.stack([a.ravel(), b.ravel()]))[0, 1] for a, b in combinations(rows, 2)])
    assert of("correlation") == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least two"):
        of("disagreement", predictions(4, ("student_0",)))


def calibration_by_hand(row: str) -> float:
    """Image by image and bin by bin."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for logits, label in zip(GROUP.logits(row), GROUP.labels, strict=True):
        answers = softmax(logits)
        best = int(answers.argmax())
        bins[next(b for b in range(15) if answers[best] <= (b + 1) / 15 or b == 14)].append((float(answers[best]), best == label))
    gaps = [abs(sum(sure for sure, _ in held) - sum(right for _, right in held)) for held in bins]
    return 100 * sum(gaps) / len(GROUP.labels)


def test_calibration_is_the_gap_between_confidence_and_accuracy() -> None:
    students = [calibration_by_hand(f"student_{m}") for m in range(3)]
    assert of("calibration") == pytest.approx(np.mean(students))
    assert of("calibration", student=1) == pytest.approx(students[1])


def test_calibration_of_the_sure_and_of_the_honest() -> None:
    """Always sure and right: 0. Always sure and half right: 50."""
    labels = np.arange(100) % 10
    sure = np.eye(10)[labels].astype(np.float16) * 50
    half = np.eye(10)[np.where(np.arange(100) < 50, labels, (labels + 1) % 10)].astype(np.float16) * 50
    for logits, expected in ((sure, 0), (half, 50)):
        one = Predictions({"labels": labels, "student_0": logits, "student_0_top5": np.zeros((100, 5), np.int16)})
        assert of("calibration", one) == pytest.approx(expected, abs=1e-6)


def test_logit_statistics_are_over_all_test_logits() -> None:
    one = predictions(5, ("student_0",))
    logits = one.logits("student_0")
    assert of("logit_max", one) == logits.max()
    assert of("logit_min", one) == logits.min()
    assert of("logit_variance", one) == pytest.approx(logits.var())


def test_a_row_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no row 'leader' in these predictions"):
        of("leader", predictions(6, ("student_0",)))


def test_collapse_is_within_five_points_of_chance() -> None:
    assert collapsed(99.0, 100)
    assert collapsed(94.0, 100)
    assert not collapsed(93.9, 100)
    assert collapsed(85.0, 10)
    assert collapsed(94.5, 1000, top=5)  # five guesses of a thousand are right half a time in a hundred
    assert not collapsed(94.4, 1000, top=5)
