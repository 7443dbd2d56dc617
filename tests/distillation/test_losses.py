"""Cross-entropy and divergence are what the formulas say, stay finite, and can be asked not to."""

import formulas
import pytest
import torch
from cases import TOLERANCE, error, float64, outputs_of

from okd.distillation.losses import cross_entropy, distillation, naive_distillation, soften

LABELS = torch.tensor([0, 3, 6, 1, 1])


def test_cross_entropy() -> None:
    logits = outputs_of(3, 5, 7).logits
    assert error(cross_entropy(logits, LABELS), formulas.cross_entropy(float64(logits), LABELS.numpy()).mean(axis=1)) < TOLERANCE


@pytest.mark.parametrize("form", [distillation, naive_distillation])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 9.0])
def test_divergence(form, temperature: float) -> None:
    logits, targets = outputs_of(3, 5, 7).logits, soften(outputs_of(3, 5, 7, seed=1).logits, temperature)
    reference = formulas.divergence(float64(targets), float64(logits), temperature).mean(axis=1)
    assert error(form(logits, targets, temperature), reference) < TOLERANCE


@pytest.mark.parametrize(("temperature", "spread"), [(0.5, 52), (1.0, 104), (2.0, 208)])
def test_only_the_naive_divergence_fails_where_a_softmax_becomes_zero(temperature: float, spread: float) -> None:
    logits = torch.tensor([[[spread, 0.0]]], requires_grad=True)
    targets = soften(torch.tensor([[[0.0, 0.0]]]), temperature)
    for form, finite in ((distillation, True), (naive_distillation, False)):
        for factor, expected in ((0.8, True), (1.0, finite)):
            assert form(logits * factor, targets, temperature).isfinite().all() == expected
            (gradient,) = torch.autograd.grad(form(logits * factor, targets, temperature).sum(), logits)
            assert gradient.isfinite().all() == expected


@pytest.mark.parametrize("form", [distillation, naive_distillation])
def test_a_stored_label_of_zero_is_a_number_only_in_the_stable_form(form) -> None:
    loss = form(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]]), 1.0)
    assert loss.isnan().all() == (form is naive_distillation)


def test_a_target_that_became_zero_carries_a_finite_gradient() -> None:
    logits = torch.tensor([[[200.0, 0.0, -200.0]]], requires_grad=True)
    distillation(torch.zeros(1, 1, 3), soften(logits, 0.5), 0.5).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_targets_entropy_counts() -> None:
    """A student that says what its target says has no loss; cross-entropy with the target would leave the entropy."""
    logits = outputs_of(2, 5, 7).logits
    assert distillation(logits, soften(logits, 3.0), 3.0).abs().max() < TOLERANCE
