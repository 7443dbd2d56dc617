"""MD and EC-DNN: soft labels of the whole training set, stored by row, mixed by accuracy, used by phase."""

import formulas
import numpy as np
import pytest
import torch
from cases import TOLERANCE, batch_of, error, float64, outputs_of, row, targets_of, teacher_of, terms_of

from okd.distillation.losses import distillation, naive_distillation
from okd.distillation.teachers.memory import Memory, by_accuracy, correct_answers, equally

SAMPLES, BATCH, CLASSES, T = 40, 8, 10, 3.0
METHODS = ["ec-dnn", "md", "md-fixed"]


def memory_of(name: str, *, students: int = 3, **options) -> tuple[Memory, np.ndarray, np.ndarray]:
    """A teacher that has seen the training set in a shuffled order; what it saw in the official order: logits, labels."""
    teacher = teacher_of(row(name, **options), students=students, classes=CLASSES, num_samples=SAMPLES)
    assert isinstance(teacher, Memory)
    logits, labels = outputs_of(students, SAMPLES, CLASSES).logits.detach(), batch_of(SAMPLES, CLASSES).labels
    for student in range(students):  # accuracies that differ
        right = torch.arange(SAMPLES) < 8 * student
        logits[student, right] += 20 * torch.eye(CLASSES)[labels[right]]
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(3))
    teacher.remember(order, logits[:, order], labels[order])
    return teacher, float64(logits), labels.numpy()


def mixture(name: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """S = sum_i a_i softmax(z_i / t), a_i = v_i / sum_k v_k; EC-DNN: a_i = 1/M."""
    accuracy = (logits.argmax(axis=2) == labels).mean(axis=1)
    shares = np.full(len(logits), 1 / len(logits)) if name == "ec-dnn" else accuracy / accuracy.sum()
    return np.einsum("i,ink->nk", shares, formulas.softmax(logits, T))


@pytest.mark.parametrize("students", [2, 3, 5])
@pytest.mark.parametrize("name", METHODS)
def test_the_memory_is_the_students_weighted_soft_labels(name: str, students: int) -> None:
    teacher, logits, labels = memory_of(name, students=students)
    assert error(teacher.rows, mixture(name, logits, labels)) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "r", "hard", "soft"),
    [
        ("md", 0, 1.0, 1.0),
        ("md", 3, 0.25, 1.75),
        ("md-fixed", 0, 1.0, 2.0),
        ("md-fixed", 3, 1.0, 2.0),
        ("ec-dnn", 0, 1.0, 1.0),
        ("ec-dnn", 3, 1.0, 1.0),
    ],
)
def test_md_is_its_equations(name: str, r: int, hard: float, soft: float) -> None:
    """L_i = (1 - r/T_d) CE + (1 + r/T_d) KL(S || softmax(z_i / t)), no t^2; fixed: 1 and 2; every row that of its image."""
    method = row(name, t_in=2, t_d=4, epochs=12)
    teacher, logits, labels = memory_of(name, t_in=2, t_d=4, epochs=12)
    batch, outputs = batch_of(BATCH, CLASSES, num_samples=SAMPLES), outputs_of(3, BATCH, CLASSES, seed=5)
    targets = np.broadcast_to(mixture(name, logits, labels)[batch.index.numpy()], (3, BATCH, CLASSES))
    assert error(targets_of(teacher(batch, outputs)), targets) < TOLERANCE
    for cycle in range(2):
        expected = formulas.objective(float64(outputs.logits), batch.labels.numpy(), targets, T, hard=hard, soft=soft)
        assert error(terms_of(method, teacher, batch, outputs, epoch=6 * cycle + 2 + r)[-1], expected) < TOLERANCE


@pytest.mark.parametrize("name", METHODS)
def test_independent_epochs_are_cross_entropy_alone(name: str) -> None:
    method, outputs = row(name, t_in=2, t_d=4, epochs=13), outputs_of(3, BATCH, CLASSES)
    teacher = teacher_of(method, students=3, classes=CLASSES)
    for epoch in (0, 1, 6, 7, 12):  # 12: a cycle that does not fit
        hard, soft, own, total = terms_of(method, teacher, batch_of(BATCH, CLASSES), outputs, epoch=epoch)
        assert (soft, own) == (0, 0)
        assert total == hard
        assert method.hard(epoch) == 1


@pytest.mark.parametrize("name", METHODS)
def test_labels_are_collected_when_a_phase_of_distillation_begins(name: str) -> None:
    teacher = teacher_of(row(name, t_in=2, t_d=4, epochs=13), students=2, classes=CLASSES)
    assert [epoch for epoch in range(13) if teacher.wants(epoch) == "train"] == [1, 7]
    assert {teacher.wants(epoch) for epoch in (0, 2, 5, 8, 12)} == {None}


def test_rows_follow_their_shuffled_samples() -> None:
    teacher, _, _ = memory_of("md")
    index = torch.tensor([31, 0, 7])
    batch = batch_of(3, CLASSES)._replace(index=index)
    targets = targets_of(teacher(batch, outputs_of(3, 3, CLASSES)))
    for student in range(3):
        assert torch.equal(targets[student], teacher.rows[index])


def test_a_new_cycle_replaces_every_row() -> None:
    teacher, logits, labels = memory_of("md")
    before = teacher.rows.clone()
    teacher.remember(torch.arange(SAMPLES), torch.from_numpy(2 * logits).float(), torch.from_numpy(labels))
    assert error(teacher.rows, mixture("md", 2 * logits, labels)) < TOLERANCE
    assert not torch.equal(before, teacher.rows)


def test_by_jensen_the_mixture_is_no_worse_than_its_parts() -> None:
    """CE(sum a_i S_i, y) <= sum a_i CE(S_i, y), equation 7, on 1,000 random sets of rows and shares."""
    draw = np.random.default_rng(0)
    for number in range(1000):
        students, classes, scale = draw.integers(2, 6), draw.integers(2, 50), (0.1, 1.0, 10.0, 50.0)[number % 4]
        logits = torch.from_numpy(draw.normal(scale=scale, size=(students, 20, classes))).float()
        labels = torch.from_numpy(draw.integers(classes, size=20))
        shares = float64((by_accuracy, equally)[number % 2](correct_answers(logits, labels)))
        parts = formulas.softmax(float64(logits), T)
        of_parts = -np.log(np.take_along_axis(parts, labels.numpy()[None, :, None], axis=2))[..., 0]
        teacher = teacher_of(row("md" if number % 2 == 0 else "ec-dnn"), students=int(students), classes=int(classes), num_samples=20)
        teacher.remember(torch.arange(20), logits, labels)
        of_mixture = -np.log(float64(teacher.get_buffer("rows").gather(1, labels[:, None]))[:, 0])
        assert (of_mixture <= np.einsum("i,in->n", shares, of_parts) + 1e-4).all()


def test_shares_when_nobody_is_ever_right() -> None:
    logits = torch.zeros(3, 4, 2)
    assert by_accuracy(correct_answers(logits, torch.ones(4, dtype=torch.int64))).tolist() == pytest.approx([1 / 3] * 3)
    assert by_accuracy(correct_answers(logits, torch.tensor([0, 0, 1, 1]))).tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("name", METHODS)
def test_no_gradient_passes_between_students(name: str) -> None:
    teacher, _, _ = memory_of(name)
    targets = targets_of(teacher(batch_of(BATCH, CLASSES, num_samples=SAMPLES), outputs_of(3, BATCH, CLASSES)))
    assert not targets.requires_grad
    assert list(teacher.parameters()) == []
    assert {name: tuple(tensor.shape) for name, tensor in teacher.state_dict().items()} == {"rows": (SAMPLES, CLASSES)}
    assert teacher.rows.dtype == torch.float32


def test_test_images_have_no_rows() -> None:
    teacher, _, _ = memory_of("md")
    assert (
        teacher.eval()(
            batch_of(BATCH, CLASSES)._replace(index=torch.arange(SAMPLES, SAMPLES + BATCH)), outputs_of(3, BATCH, CLASSES)
        ).soft_targets
        is None
    )


def test_options() -> None:
    assert row("md", t_squared="with", t_in=1, t_d=2).soft(2) == pytest.approx(1.5 * 9)
    assert row("md", t_in=1, t_d=2).soft(2) == 1.5
    assert row("md").divergence is distillation
    assert row("md", kl="naive").divergence is naive_distillation


@pytest.mark.parametrize(("kl", "finite"), [("stable", True), ("naive", False)])
def test_the_naive_form_diverges_at_temperature_one_half(kl: str, finite: bool) -> None:
    """MD's Table 4 prints NaN there; logits 52 apart are enough, and the paper reports a spread of 48.6 after 50 epochs."""
    method = row("md", kl=kl, temperature=0.5, t_in=1, t_d=2)
    teacher = teacher_of(method, students=2, classes=CLASSES, num_samples=SAMPLES)
    logits, labels = outputs_of(2, SAMPLES, CLASSES, scale=15.0).logits.detach(), batch_of(SAMPLES, CLASSES).labels
    teacher.remember(torch.arange(SAMPLES), logits, labels)
    outputs = outputs_of(2, BATCH, CLASSES, scale=15.0)
    total = terms_of(method, teacher, batch_of(BATCH, CLASSES, num_samples=SAMPLES), outputs, epoch=1)[-1]
    (gradient,) = torch.autograd.grad(total, outputs.logits)
    assert bool(total.isfinite()) is finite
    assert bool(gradient.isfinite().all()) is finite
