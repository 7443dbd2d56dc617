"""KDCL: four ways to make one teacher of all logits, and their order."""

import formulas
import numpy as np
import pytest
import torch
from cases import TOLERANCE, batch_of, error, float64, outputs_of, row, targets_of, teacher_of, terms_of
from scipy.optimize import minimize
from torch import Tensor

from okd.distillation.teachers.collaborative import General, best_weights, error_weights, linear, min_logit, naive, relative

BATCH, CLASSES, T = 8, 10, 2.0
METHODS = ["kdcl-naive", "kdcl-linear", "kdcl-minlogit", "kdcl-general"]


def slsqp(logits: np.ndarray, label: int) -> tuple[np.ndarray, float]:
    """One sample's best convex weights by scipy's constrained optimiser, from every corner and the middle; and their cross-entropy."""
    students = len(logits)

    def value(weights: np.ndarray) -> float:
        return float(formulas.cross_entropy((weights @ logits)[None], np.array([label]))[0])

    def slope(weights: np.ndarray) -> np.ndarray:
        return logits @ (formulas.softmax(weights @ logits) - np.eye(logits.shape[1])[label])

    constraint = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda _: np.ones(students)}
    found = []
    for start in (np.full(students, 1 / students), *(0.9 * np.eye(students) + 0.1 / students)):
        result = minimize(
            value,
            start,
            jac=slope,
            bounds=[(0, 1)] * students,
            constraints=constraint,
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        weights = np.clip(result.x, 0, 1) / np.clip(result.x, 0, 1).sum()
        found.append((value(weights), weights))
    best = min(found, key=lambda pair: pair[0])
    return best[1], best[0]


def combined(name: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """z_t of each sample, as the slides define it."""
    rows = []
    for sample, label in enumerate(labels):
        z = logits[:, sample]
        if name == "kdcl-naive":
            rows.append(z[np.argmin([formulas.cross_entropy(z_i[None], np.array([label]))[0] for z_i in z])])
        elif name == "kdcl-minlogit":
            rows.append(np.min([z_i - z_i[label] for z_i in z], axis=0))
        else:
            rows.append(np.full(len(z), 1 / len(z)) @ z)
    return np.stack(rows)


@pytest.mark.parametrize("students", [2, 3, 5])
@pytest.mark.parametrize("name", ["kdcl-naive", "kdcl-minlogit", "kdcl-general"])
def test_kdcl_is_its_equations(name: str, students: int) -> None:
    """sum_i CE(z_i, y) + lambda T^2 KL(softmax(z_t / T) || softmax(z_i / T)), T = 2, lambda = 1."""
    method, batch, outputs = row(name), batch_of(BATCH, CLASSES), outputs_of(students, BATCH, CLASSES)
    teacher = teacher_of(method, students=students, classes=CLASSES)
    logits, labels = float64(outputs.logits), batch.labels.numpy()
    targets = np.broadcast_to(formulas.softmax(combined(name, logits, labels), T), logits.shape)
    assert error(targets_of(teacher(batch, outputs)), targets) < TOLERANCE
    expected = formulas.objective(logits, labels, targets, T, hard=1, soft=T**2)
    assert error(terms_of(method, teacher, batch, outputs)[-1], expected) < TOLERANCE


@pytest.mark.parametrize("students", [2, 3, 4, 6])
@pytest.mark.parametrize("scale", [1.0, 4.0, 50.0])
def test_linear_finds_what_scipy_finds(students: int, scale: float) -> None:
    logits, labels = (
        scale * (2 * torch.rand(students, 50, 12, generator=torch.Generator().manual_seed(students)) - 1),
        batch_of(50, 12).labels,
    )
    weights = best_weights(relative(logits, labels))
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(50), rtol=0, atol=1e-6)
    ours = formulas.cross_entropy(np.einsum("mb,mbk->bk", float64(weights), float64(logits)), labels.numpy())
    reference = [slsqp(float64(logits)[:, sample], int(labels[sample])) for sample in range(50)]
    np.testing.assert_allclose(ours, [value for _, value in reference], rtol=1e-6, atol=1e-6 * scale)
    # Near its minimum a function is flat, so weights agree to the root of what values do, and not at all where all values are 0.
    clear = ours > 0.01
    assert clear.sum() > 10
    np.testing.assert_allclose(float64(weights).T[clear], np.stack([weights for weights, _ in reference])[clear], rtol=0, atol=2e-3)


def test_linear_in_the_objective() -> None:
    method, batch, outputs = row("kdcl-linear"), batch_of(BATCH, CLASSES), outputs_of(2, BATCH, CLASSES)
    teacher = teacher_of(method, students=2, classes=CLASSES)
    logits, labels = float64(outputs.logits), batch.labels.numpy()
    mixed = np.stack([slsqp(logits[:, sample], int(labels[sample]))[0] @ logits[:, sample] for sample in range(BATCH)])
    targets = np.broadcast_to(formulas.softmax(mixed, T), logits.shape)
    # scipy stops within 1e-4 of the best weight; how exact ours is, the test above says.
    assert error(targets_of(teacher(batch, outputs)), targets) < 1e-3
    ours = float64(targets_of(teacher(batch, outputs)))
    expected = formulas.objective(logits, labels, ours, T, hard=1, soft=T**2)
    assert error(terms_of(method, teacher, batch, outputs)[-1], expected) < TOLERANCE


def fifty_cases(students: int, classes: int) -> tuple[Tensor, Tensor]:
    """Random logits of every size up to 50; equal students, equal logits, ties, one student ahead of all others."""
    draw = torch.Generator().manual_seed(100 * students + classes)
    logits = torch.randn(students, 50, classes, generator=draw) * torch.tensor([0.1, 1.0, 5.0, 15.0, 1.0]).repeat(10)[:, None]
    labels = torch.randint(classes, (50,), generator=draw)
    logits[1, 0:5] = logits[0, 0:5]
    logits[:, 5:20] = 100 * torch.randint(2, (students, 15, classes), generator=draw).float() - 50
    logits[:, 20:22] = 0
    logits[:, 22:32] = logits[:, 22:32].clamp(-1, 1).round()
    logits[0, 32:36] = 50 * torch.eye(classes)[labels[32:36]]
    return logits.clamp(-50, 50), labels


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("students", [2, 3, 4, 5, 6])
def test_min_logit_linear_and_naive_are_ordered(students: int, classes: int) -> None:
    """CE(min-logit) <= CE(linear) <= CE(naive) = min_i CE(z_i); 1,000 cases in all."""
    logits, labels = fifty_cases(students, classes)
    smallest, mixed, best = (
        formulas.cross_entropy(float64(combine(logits, labels)), labels.numpy()) for combine in (min_logit, linear, naive)
    )
    rounding = 1e-5 * np.abs(float64(logits)).max(axis=(0, 2))
    assert (smallest <= mixed + rounding).all()
    assert (mixed <= best + rounding).all()
    np.testing.assert_allclose(best, formulas.cross_entropy(float64(logits), labels.numpy()).min(axis=0), rtol=0, atol=rounding.max())


def test_naive_tells_students_apart_whose_cross_entropy_is_zero_in_fp32() -> None:
    logits, labels = torch.tensor([[[20.0, 0.0]], [[25.0, 0.0]], [[22.0, 0.0]]]), torch.tensor([0])
    assert relative(logits, labels).logsumexp(dim=2).unique().tolist() == [0.0]
    assert naive(logits, labels).tolist() == [[25.0, 0.0]]


@pytest.mark.parametrize("combine", [naive, linear, min_logit])
def test_equal_students_teach_what_they_say(combine) -> None:
    logits, labels = outputs_of(1, BATCH, CLASSES).logits.detach(), batch_of(BATCH, CLASSES).labels
    for students in (1, 2, 4):
        result = combine(logits.expand(students, -1, -1), labels)
        assert error(result.softmax(dim=1), formulas.softmax(float64(logits[0]))) < TOLERANCE


def test_min_logit_is_zero_at_the_true_class() -> None:
    labels = batch_of(BATCH, CLASSES).labels
    teacher = min_logit(outputs_of(3, BATCH, CLASSES).logits, labels)
    assert teacher.gather(1, labels[:, None]).abs().max() == 0


@pytest.mark.parametrize("name", METHODS)
def test_the_target_is_cut_off_and_shared(name: str) -> None:
    method, outputs = row(name), outputs_of(3, BATCH, CLASSES)
    targets = targets_of(teacher_of(method, students=3, classes=CLASSES)(batch_of(BATCH, CLASSES), outputs))
    assert not targets.requires_grad
    assert torch.equal(targets[0], targets[2])


@pytest.mark.parametrize("name", METHODS[:3])
def test_nothing_looks_at_the_test_sets_labels(name: str) -> None:
    teacher = teacher_of(row(name), students=2, classes=CLASSES).eval()
    lesson = teacher(batch_of(BATCH, CLASSES), outputs_of(2, BATCH, CLASSES))
    assert lesson.soft_targets is None
    assert lesson.prediction is None


@pytest.mark.parametrize("name", METHODS)
def test_icl_is_a_view_for_each_student(name: str) -> None:
    assert row(name).views == "own"
    assert row(name, views="shared").views == "shared"
    assert row(name).held_out == (5000 if name == "kdcl-general" else 0)


def test_general_weighs_by_the_inverse_of_the_errors() -> None:
    """w_k = sum_j (C^-1)_kj / sum_ij (C^-1)_ij, C_ij = 1/N sum_x (f_i - t).(f_j - t)."""
    logits, labels = outputs_of(3, 50, CLASSES, scale=1.0).logits, batch_of(50, CLASSES).labels
    wrong = formulas.softmax(float64(logits)) - np.eye(CLASSES)[labels.numpy()]
    covariance = np.array([[(wrong[i] * wrong[j]).sum(axis=1).mean() for j in range(3)] for i in range(3)])
    inverse = np.linalg.inv(covariance)
    expected = inverse.sum(axis=1) / inverse.sum()
    assert (expected > 0).all()
    assert error(error_weights(logits, labels), expected) < 1e-4  # the ridge of 1e-6 on C
    assert (
        error(
            error_weights(logits, labels),
            np.linalg.solve(covariance + 1e-6 * np.eye(3), np.ones(3)) / np.linalg.solve(covariance + 1e-6 * np.eye(3), np.ones(3)).sum(),
        )
        < 1e-9
    )


def test_general_keeps_its_weights_in_range() -> None:
    """A student that repeats another one's errors, only larger, has a negative weight in the closed form."""
    labels = torch.zeros(20, dtype=torch.int64)
    good = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    weights = error_weights(torch.stack([good, good - 3 * torch.eye(4)[labels]]), labels)
    assert weights.tolist() == [1.0, 0.0]


def test_general_bears_equal_students() -> None:
    logits = outputs_of(1, 50, CLASSES).logits.expand(3, -1, -1)
    assert error(error_weights(logits, batch_of(50, CLASSES).labels), np.full(3, 1 / 3)) < TOLERANCE


def test_general_starts_even_and_learns_after_every_epoch() -> None:
    method, batch, outputs = row("kdcl-general"), batch_of(BATCH, CLASSES), outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(method, students=3, classes=CLASSES)
    assert isinstance(teacher, General)
    assert [teacher.wants(epoch) for epoch in (0, 1, 5)] == ["held_out"] * 3
    assert teacher.weights.tolist() == pytest.approx([1 / 3] * 3)
    held_out = outputs_of(3, 50, CLASSES, seed=9).logits.detach()
    held_out[0].scatter_(1, batch_of(50, CLASSES).labels[:, None], 9.0)
    teacher.remember(torch.arange(50), held_out, batch_of(50, CLASSES).labels)
    assert teacher.weights[0] > 0.9
    assert "weights" in teacher.state_dict()
    mixed = np.einsum("m,mbk->bk", float64(teacher.weights), float64(outputs.logits))
    assert error(targets_of(teacher(batch, outputs))[0], formulas.softmax(mixed, T)) < TOLERANCE
