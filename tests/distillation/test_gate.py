"""ONE: a gate mixes the branches' logits and learns from its own cross-entropy alone."""

import formulas
import numpy as np
import pytest
import torch
from cases import TOLERANCE, batch_of, error, float64, outputs_of, row, targets_of, teacher_of, terms_of

from okd.distillation.teachers.gate import Gate, MeanGate

BATCH, CLASSES = 8, 10


def gate_weights(teacher: Gate, shared: np.ndarray) -> np.ndarray:
    """softmax(relu(BN(W pool(shared) + b))), the batch's own statistics, eps 1e-5."""
    weight, bias = float64(teacher.linear.weight), float64(teacher.linear.bias)
    response = shared.mean(axis=(2, 3)) @ weight.T + bias
    response = (response - response.mean(axis=0)) / np.sqrt(response.var(axis=0) + 1e-5)
    response = response * float64(teacher.bn.weight) + float64(teacher.bn.bias)
    return formulas.softmax(np.maximum(response, 0))


@pytest.mark.parametrize("students", [2, 3, 4])
def test_one_is_its_equations(students: int) -> None:
    """sum_i CE(z_i, y) + CE(z_e, y) + T^2 sum_i KL(softmax(z_e / T) || softmax(z_i / T)), z_e = sum_i g_i z_i."""
    method, batch, outputs = row("one"), batch_of(BATCH, CLASSES), outputs_of(students, BATCH, CLASSES)
    teacher = teacher_of(method, students=students, classes=CLASSES)
    assert isinstance(teacher, Gate)
    assert outputs.shared is not None
    logits, labels = float64(outputs.logits), batch.labels.numpy()
    g = gate_weights(teacher, float64(outputs.shared))
    gated = np.einsum("bm,mbk->bk", g, logits)
    targets = np.broadcast_to(formulas.softmax(gated, 3.0), logits.shape)
    lesson = teacher(batch, outputs)
    assert error(teacher.weights(outputs), g) < TOLERANCE
    assert error(targets_of(lesson), targets) < TOLERANCE
    assert lesson.prediction is not None
    assert error(lesson.prediction, gated) < TOLERANCE
    expected = formulas.objective(logits, labels, targets, 3.0, hard=1, soft=9) + formulas.cross_entropy(gated, labels).mean()
    assert error(terms_of(method, teacher, batch, outputs)[-1], float(expected)) < TOLERANCE


@pytest.mark.parametrize(("reading", "reaches"), [("paper", False), ("code", False), ("okddip", True)])
def test_the_divergence_sends_the_gate_nothing_unless_attached(reading: str, reaches: bool) -> None:
    method, batch, outputs = row("one", reading=reading), batch_of(BATCH, CLASSES), outputs_of(4, BATCH, CLASSES)
    teacher = teacher_of(method, students=4, classes=CLASSES)
    _, soft, own, _ = terms_of(method, teacher, batch, outputs)
    assert outputs.shared is not None
    learned: list[torch.Tensor] = [teacher.get_parameter(name) for name in ("linear.weight", "bn.weight", "bn.bias")]
    from_soft = torch.autograd.grad(soft, [*learned, outputs.shared], retain_graph=True, allow_unused=True)
    assert [gradient is not None and bool(gradient.abs().max() > 0) for gradient in from_soft] == [reaches] * 4
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(own, learned))


def test_the_gates_cross_entropy_trains_every_branch_by_its_weight() -> None:
    method, batch, outputs = row("one"), batch_of(BATCH, CLASSES), outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(method, students=3, classes=CLASSES)
    assert outputs.shared is not None
    (gradient,) = torch.autograd.grad(terms_of(method, teacher, batch, outputs)[2], outputs.logits)
    g = gate_weights(teacher, float64(outputs.shared))  # type: ignore[arg-type]
    residual = formulas.softmax(np.einsum("bm,mbk->bk", g, float64(outputs.logits))) - np.eye(CLASSES)[batch.labels.numpy()]
    assert error(gradient, g.T[:, :, None] * residual / BATCH) < TOLERANCE


def test_the_gates_bias_gets_no_gradient_because_batchnorm_follows() -> None:
    method, batch, outputs = row("one"), batch_of(BATCH, CLASSES), outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(method, students=3, classes=CLASSES)
    (gradient,) = torch.autograd.grad(terms_of(method, teacher, batch, outputs)[2], teacher.get_parameter("linear.bias"))
    assert gradient.abs().max() < 1e-6


def test_without_gating_every_branch_counts_the_same_and_nothing_is_learned() -> None:
    method, batch, outputs = row("one", gate="mean"), batch_of(BATCH, CLASSES), outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(method, students=3, classes=CLASSES)
    assert isinstance(teacher, MeanGate)
    assert list(teacher.parameters()) == []
    mean = float64(outputs.logits).mean(axis=0)
    lesson = teacher(batch, outputs)
    assert error(targets_of(lesson)[1], formulas.softmax(mean, 3.0)) < TOLERANCE
    assert error(torch.as_tensor(lesson.loss), float(formulas.cross_entropy(mean, batch.labels.numpy()).mean())) < TOLERANCE


def test_without_distillation_both_cross_entropies_stay() -> None:
    method, batch, outputs = row("one", weight=0.0), batch_of(BATCH, CLASSES), outputs_of(3, BATCH, CLASSES)
    hard, soft, own, total = terms_of(method, teacher_of(method, students=3, classes=CLASSES), batch, outputs)
    assert soft == 0
    assert total == hard + own > hard


def test_readings_ramp() -> None:
    assert [row("one", reading=reading).soft(0) < 9 for reading in ("paper", "code", "okddip")] == [False, True, True]


def test_in_evaluation_a_samples_gate_does_not_depend_on_its_batch() -> None:
    outputs = outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(row("one"), students=3, classes=CLASSES)
    assert isinstance(teacher, Gate)
    assert outputs.shared is not None
    in_training = float64(teacher.weights(outputs))
    together = teacher.eval().weights(outputs)
    assert error(together, in_training) > 1e-3
    assert error(teacher.weights(outputs._replace(shared=outputs.shared[:1])), float64(together[:1])) < TOLERANCE
