"""DML and CL-ILR: the others' mean is a student's target, detached or not."""

from itertools import permutations
from typing import Any

import formulas
import numpy as np
import pytest
import torch
from cases import TOLERANCE, batch_of, error, float64, outputs_of, row, targets_of, teacher_of, terms_of

from okd.distillation.losses import distillation, soften

CASES: list[tuple[str, dict[str, Any]]] = [("dml", {"reading": "paper"}), ("dml", {"reading": "okddip"}), ("cl-ilr", {}), ("clnn", {})]


@pytest.mark.parametrize("students", [2, 3, 4])
def test_dml_of_the_paper_is_the_mean_of_pairwise_divergences(students: int) -> None:
    """CE(z_i, y) + 1/(M-1) sum_j KL(p_j || p_i), no temperature; the mixture's divergence differs from that by a constant."""
    method, batch, outputs = row("dml", reading="paper"), batch_of(8, 10), outputs_of(students, 8, 10)
    teacher = teacher_of(method, students=students, classes=10)
    logits, labels = float64(outputs.logits), batch.labels.numpy()
    p = formulas.softmax(logits)
    mixture = np.stack([np.mean([p[j] for j in range(students) if j != i], axis=0) for i in range(students)])
    assert error(targets_of(teacher(batch, outputs)), mixture) < TOLERANCE
    expected = formulas.objective(logits, labels, mixture, 1.0, hard=1, soft=1)
    assert error(terms_of(method, teacher, batch, outputs)[-1], expected) < TOLERANCE

    pairs = sum(
        distillation(outputs.logits[i : i + 1], soften(outputs.logits[j : j + 1].detach(), 1.0), 1.0).sum() / (students - 1)
        for i, j in permutations(range(students), 2)
    )
    assert isinstance(pairs, torch.Tensor)
    (pairwise,) = torch.autograd.grad(pairs, outputs.logits)
    (ours,) = torch.autograd.grad(terms_of(method, teacher, batch, outputs)[1], outputs.logits)
    torch.testing.assert_close(ours, pairwise, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("students", [2, 4])
@pytest.mark.parametrize(("name", "options"), [("dml", {"reading": "okddip"}), ("cl-ilr", {}), ("clnn", {})])
def test_mean_of_the_others_logits(name: str, options: dict[str, Any], students: int) -> None:
    """CE + T^2 KL(softmax(mean_{j != i} z_j / T) || softmax(z_i / T)), T = 3."""
    method, batch, outputs = row(name, **options), batch_of(8, 10), outputs_of(students, 8, 10)
    teacher = teacher_of(method, students=students, classes=10)
    logits = float64(outputs.logits)
    others = np.stack([np.mean([logits[j] for j in range(students) if j != i], axis=0) for i in range(students)])
    targets = formulas.softmax(others, 3.0)
    assert error(targets_of(teacher(batch, outputs)), targets) < TOLERANCE
    expected = formulas.objective(logits, batch.labels.numpy(), targets, 3.0, hard=1, soft=9)
    assert error(terms_of(method, teacher, batch, outputs)[-1], expected) < TOLERANCE


def test_cl_ilr_ramps_up_and_dml_does_not() -> None:
    assert row("cl-ilr").soft(40) == pytest.approx(9 * 0.2865, rel=1e-3)
    assert row("dml", reading="okddip").soft(0) == 9.0
    assert row("dml", reading="paper").soft(0) == 1.0


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("target", ["detached", "attached"])
def test_targets_carry_gradient_only_where_attached(name: str, options: dict[str, Any], target: str) -> None:
    chosen: dict[str, Any] = {**options, "target": target}
    method, outputs = row(name, **chosen), outputs_of(3, 8, 10)
    teacher = teacher_of(method, students=3, classes=10)
    targets = targets_of(teacher(batch_of(8, 10), outputs))
    assert targets.requires_grad == (target == "attached")
    if target == "attached":  # student 0's target comes from the others only
        (gradient,) = torch.autograd.grad(distillation(outputs.logits.detach(), targets, 3.0)[0], outputs.logits)
        assert gradient[0].abs().max() == 0
        assert gradient[1].abs().max() > 0
        assert gradient[2].abs().max() > 0


def test_readings() -> None:
    assert targets_of(teacher_of(row("dml"), students=2, classes=4)(batch_of(4, 4), outputs_of(2, 4, 4))).requires_grad is False
    attached = teacher_of(row("dml", reading="okddip"), students=2, classes=4)
    assert targets_of(attached(batch_of(4, 4), outputs_of(2, 4, 4))).requires_grad is True
