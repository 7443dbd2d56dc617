"""OKDDip: peers weigh each other, a leader learns from all of them; its ablations."""

import formulas
import numpy as np
import pytest
import torch
from cases import TOLERANCE, batch_of, error, float64, outputs_of, row, targets_of, teacher_of, terms_of

from okd.distillation.losses import distillation
from okd.distillation.methods import Method
from okd.distillation.teachers.attention import PeerAttention
from okd.distillation.types import Outputs

BATCH, CLASSES, T = 8, 10, 3.0


def attention_of(method: Method, students: int) -> PeerAttention:
    teacher = teacher_of(method, students=students, classes=CLASSES)
    assert isinstance(teacher, PeerAttention)
    return teacher


def alpha_of(teacher: PeerAttention, outputs: Outputs, peers: int) -> np.ndarray:
    """alpha_ab = exp(L(h_a) . E(h_b)) / sum_f exp(L(h_a) . E(h_f)), f over the peers, a itself among them; (B, P, P)."""
    features = [float64(feature) for feature in outputs.features[:peers]]
    query = [feature @ float64(teacher.query.weight).T for feature in features]
    key = [feature @ float64(teacher.key.weight).T for feature in features]
    scores = np.stack([np.stack([(query[a] * key[b]).sum(axis=1) for b in range(peers)], axis=1) for a in range(peers)], axis=1)
    return formulas.softmax(scores)


def mixtures_of(alpha: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Row a: sum_b alpha_ab values_b; the leader's: the mean."""
    peers = alpha.shape[1]
    rows = [sum(alpha[:, a, b, None] * values[b] for b in range(peers)) for a in range(peers)]
    return np.stack([*rows, values[:peers].mean(axis=0)])


@pytest.mark.parametrize("students", [2, 3, 4, 6])
@pytest.mark.parametrize("reading", ["paper", "code"])
def test_okddip_is_its_equations(reading: str, students: int) -> None:
    """sum_m CE + T^2 (L_dis1 + L_dis2), probabilities mixed as the paper has it, or logits as its code does."""
    method, batch, outputs = row("okddip", reading=reading), batch_of(BATCH, CLASSES), outputs_of(students, BATCH, CLASSES)
    teacher = attention_of(method, students)
    logits, peers = float64(outputs.logits), students - 1
    alpha = alpha_of(teacher, outputs, peers)
    assert error(teacher.alpha(torch.stack(outputs.features[:peers])), alpha) < TOLERANCE
    if reading == "paper":
        targets = mixtures_of(alpha, formulas.softmax(logits[:peers], T))
    else:
        targets = formulas.softmax(mixtures_of(alpha, logits[:peers]), T)
    assert error(targets_of(teacher(batch, outputs)), targets) < TOLERANCE
    expected = formulas.objective(logits, batch.labels.numpy(), targets, T, hard=1, soft=T**2)
    assert error(terms_of(method, teacher, batch, outputs)[-1], expected) < TOLERANCE


def gradients_of(target: str, reading: str, student: int) -> tuple[torch.Tensor, bool]:
    """What the divergence of one student sends: to logits (apart from its own answer), and whether to L and E."""
    method, outputs = row("okddip", reading=reading, target=target), outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(method, 4)
    targets = targets_of(teacher(batch_of(BATCH, CLASSES), outputs))
    loss = distillation(outputs.logits.detach(), targets, T)[student]
    learned = [teacher.query.weight, teacher.key.weight]
    logits, *both = torch.autograd.grad(loss, [outputs.logits, *learned], allow_unused=True)
    reached = [gradient is not None and bool(gradient.abs().max() > 0) for gradient in both]
    assert reached[0] == reached[1]
    return torch.zeros_like(outputs.logits) if logits is None else logits, reached[0]


@pytest.mark.parametrize("reading", ["paper", "code"])
def test_an_attached_target_lets_the_leader_change_its_peers(reading: str) -> None:
    leader, learns = gradients_of("attached", reading, 3)
    assert all(leader[peer].abs().max() > 0 for peer in range(3))
    assert not learns  # the leader's target is the mean, without attention
    first, learns = gradients_of("attached", reading, 0)
    assert all(first[peer].abs().max() > 0 for peer in range(3))
    assert first[3].abs().max() == 0
    assert learns


@pytest.mark.parametrize("reading", ["paper", "code"])
def test_target_weights_keeps_peers_apart_and_trains_the_attention(reading: str) -> None:
    method, outputs = row("okddip", reading=reading, target="weights"), outputs_of(4, BATCH, CLASSES)
    targets = targets_of(attention_of(method, 4)(batch_of(BATCH, CLASSES), outputs))
    (leader,) = torch.autograd.grad(distillation(outputs.logits, targets, T)[3], outputs.logits, retain_graph=True)
    assert leader[:3].abs().max() == 0
    assert leader[3].abs().max() > 0
    (first,) = torch.autograd.grad(
        distillation(outputs.logits.detach(), targets, T)[0], outputs.logits, allow_unused=True, retain_graph=True
    )
    assert first is None
    assert gradients_of_attention(targets, method, outputs) > 0


def gradients_of_attention(targets: torch.Tensor, method: Method, outputs: Outputs) -> float:
    """Through alpha the features, too, are reached."""
    loss = distillation(outputs.logits.detach(), targets, T)[:3].sum()
    return min(float(gradient.abs().max()) for gradient in torch.autograd.grad(loss, outputs.features[:3]))


def test_the_leader_teaches_nobody() -> None:
    method, batch, outputs = row("okddip"), batch_of(BATCH, CLASSES), outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(method, 4)
    other = outputs._replace(
        logits=torch.cat([outputs.logits[:3], outputs.logits[3:] + 5]), features=[*outputs.features[:3], outputs.features[3] + 5]
    )
    assert torch.equal(targets_of(teacher(batch, outputs)), targets_of(teacher(batch, other)))


def test_without_attention_the_mean() -> None:
    outputs = outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(row("okddip", attention="mean"), 4)
    mean = formulas.softmax(float64(outputs.logits)[:3].mean(axis=0), T)
    assert list(teacher.parameters()) == []
    assert error(targets_of(teacher(batch_of(BATCH, CLASSES), outputs)), np.stack([mean] * 4)) < TOLERANCE


def test_asymmetry_weighs_by_the_features_themselves() -> None:
    outputs = outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(row("okddip", attention="identity"), 4)
    features = np.stack([float64(feature) for feature in outputs.features[:3]])
    alpha = formulas.softmax(np.einsum("abd,cbd->bac", features, features))
    targets = formulas.softmax(mixtures_of(alpha, float64(outputs.logits)[:3]), T)
    assert list(teacher.parameters()) == []
    assert error(targets_of(teacher(batch_of(BATCH, CLASSES), outputs)), targets) < TOLERANCE


def test_random_attention_is_drawn_anew_for_every_sample_and_step() -> None:
    teacher, features = attention_of(row("okddip", attention="random"), 4), torch.zeros(3, BATCH, 24)
    torch.manual_seed(0)
    first, second = teacher.alpha(features), teacher.alpha(features)
    torch.manual_seed(0)
    assert torch.equal(teacher.alpha(features), first)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert (first >= 0).all()
    torch.testing.assert_close(first.sum(dim=2), torch.ones(BATCH, 3))


def test_entropy_instead_of_the_first_level() -> None:
    """Peers: CE + T^2 H, H the official code's; the leader learns as ever."""
    method, batch, outputs = row("okddip", first_level="entropy"), batch_of(BATCH, CLASSES), outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(method, 4)
    logits, labels = float64(outputs.logits), batch.labels.numpy()
    logs = formulas.log_softmax(logits[:3], T)
    entropy = -(formulas.softmax(logs, T) * logs).sum(axis=-1).mean(axis=-1).sum()
    leader = formulas.divergence(formulas.softmax(logits[:3].mean(axis=0), T), logits[3], T).mean()
    hard, soft, _, _ = terms_of(method, teacher, batch, outputs)
    assert error(hard, float(formulas.cross_entropy(logits, labels).mean(axis=1).sum())) < TOLERANCE
    assert error(soft, T**2 * (entropy + leader)) < TOLERANCE
    own = targets_of(teacher(batch, outputs))[:3]
    (gradient,) = torch.autograd.grad(distillation(outputs.logits[:3], own, T).sum(), outputs.logits)
    assert gradient.abs().max() < 1e-7


def test_without_two_levels_every_student_is_a_peer() -> None:
    method, batch, outputs = row("okddip", levels=1), batch_of(BATCH, CLASSES), outputs_of(4, BATCH, CLASSES)
    teacher = attention_of(method, 4)
    targets = formulas.softmax(mixtures_of(alpha_of(teacher, outputs, 4), float64(outputs.logits))[:4], T)
    assert not method.leader
    assert row("okddip").leader
    assert error(targets_of(teacher(batch, outputs)), targets) < TOLERANCE


def test_the_attention_is_an_eighth_as_wide_without_bias() -> None:
    teacher = attention_of(row("okddip"), 4)
    assert {name: tuple(parameter.shape) for name, parameter in teacher.named_parameters()} == {
        "query.weight": (3, 24),
        "key.weight": (3, 24),
    }
