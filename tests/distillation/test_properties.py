"""What holds for every teacher, whatever the group, the batch, the classes and the temperature."""

from typing import NamedTuple

import pytest
import torch
from cases import batch_of, outputs_of, row, targets_of, teacher_of, terms_of
from hypothesis import given, settings
from hypothesis import strategies as st

from okd.data.batch import Batch
from okd.distillation.methods import Method
from okd.distillation.teachers.gate import Gate
from okd.distillation.teachers.teacher import Teacher
from okd.distillation.types import Outputs
from okd.plan.catalog import Value, catalog

SAMPLES, EPOCH = 150, 1  # in which every method distils
LARGE = 200_000  # numbers in a batch of logits, above which a case has fewer samples


class Case(NamedTuple):
    students: int
    classes: int
    samples: int
    temperature: float
    scale: float
    order: list[int]  # a permutation of the students

    @property
    def batch(self) -> Batch:
        return batch_of(self.samples, self.classes, num_samples=SAMPLES)

    @property
    def outputs(self) -> Outputs:
        return outputs_of(self.students, self.samples, self.classes, scale=self.scale)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    students, classes = draw(st.integers(2, 6)), draw(st.sampled_from([2, 3, 10, 100, 1000]) | st.integers(2, 1000))
    count = min(draw(st.integers(1, 130)), max(2, LARGE // (students * classes)))
    temperature = draw(st.sampled_from([0.5, 1.0, 2.0, 3.0, 9.0]) | st.floats(0.5, 9.0))
    return Case(students, classes, count, temperature, draw(st.sampled_from([0.1, 3.0, 20.0])), draw(st.permutations(range(students))))


TAUGHT = [name for name, entry in catalog().methods.items() if "temperature" in entry.options and not entry.taught]
VARIANTS: list[tuple[str, dict[str, Value]]] = [
    ("dml", {"reading": "okddip"}),
    ("one", {"reading": "okddip"}),
    ("one", {"gate": "mean"}),
    ("okddip", {"reading": "paper"}),
    ("okddip", {"target": "weights"}),
    ("okddip", {"attention": "mean"}),
    ("okddip", {"attention": "random"}),
    ("okddip", {"attention": "identity"}),
    ("okddip", {"first_level": "entropy"}),
    ("okddip", {"levels": 1}),
]
# Every method that distils, as the catalog has it, and its teachers' other ways.
TEACHERS = [*((name, {}) for name in TAUGHT), *VARIANTS]


def method_of(name: str, options: dict[str, Value], temperature: float) -> Method:
    """Without ramp, with phases that have begun in epoch 1."""
    early: dict[str, Value] = {"ramp_up": 0, "t_in": 1, "t_d": 2}
    known = {option: value for option, value in early.items() if option in catalog().methods[name].options}
    return row(name, **{**options, **known, "temperature": temperature})  # type: ignore[arg-type]


def prepared(name: str, options: dict[str, Value], case: Case) -> tuple[Method, Teacher, Case]:
    """The teacher, having seen what it asks for."""
    method = method_of(name, options, case.temperature)
    if name == "one":
        case = case._replace(samples=max(2, case.samples))  # BatchNorm needs two
    if name == "kdcl-linear":  # a thousand softmaxes
        case = case._replace(samples=min(case.samples, max(1, LARGE // 20 // case.classes // case.students)))
    teacher = teacher_of(method, students=case.students, classes=case.classes, num_samples=SAMPLES)
    if teacher.wants(0):
        remember(teacher, case, list(range(case.students)))
    return method, teacher, case


def remember(teacher: Teacher, case: Case, order: list[int]) -> None:
    logits = outputs_of(case.students, SAMPLES, case.classes, scale=case.scale, seed=5).logits.detach()
    teacher.remember(torch.arange(SAMPLES), logits[order], batch_of(SAMPLES, case.classes).labels)


@pytest.mark.parametrize(("name", "options"), TEACHERS)
@settings(derandomize=True, deadline=None, max_examples=12)
@given(case=cases())
def test_loss_and_gradients_are_finite_and_targets_are_distributions(name: str, options: dict[str, Value], case: Case) -> None:
    method, teacher, case = prepared(name, options, case)
    batch, outputs = case.batch, case.outputs
    targets = targets_of(teacher(batch, outputs))
    assert targets.shape == outputs.logits.shape
    assert (targets >= 0).all()
    torch.testing.assert_close(targets.sum(dim=2), torch.ones(case.students, case.samples), rtol=0, atol=1e-5)

    terms = terms_of(method, teacher, batch, outputs, epoch=EPOCH)
    assert terms.isfinite().all()
    terms[-1].backward()
    assert outputs.logits.grad is not None
    for tensor in (outputs.logits, *outputs.features, outputs.shared, *teacher.parameters()):
        assert tensor is None or tensor.grad is None or tensor.grad.isfinite().all()


@pytest.mark.parametrize(("name", "options"), [teacher for teacher in TEACHERS if teacher[1] != {"attention": "random"}])
@settings(derandomize=True, deadline=None, max_examples=8)
@given(case=cases())
def test_a_permutation_of_the_students_permutes_the_targets(name: str, options: dict[str, Value], case: Case) -> None:
    method, teacher, case = prepared(name, options, case)
    order = [*sorted(case.order, key=lambda student: student == case.students - 1)] if method.leader else case.order
    batch, outputs = case.batch, case.outputs
    permuted = outputs._replace(logits=outputs.logits[order], features=[outputs.features[student] for student in order])
    expected = targets_of(teacher(batch, outputs))[order]
    permute(teacher, case, order)
    torch.testing.assert_close(targets_of(teacher(batch, permuted)), expected, rtol=1e-4, atol=1e-5)


def permute(teacher: Teacher, case: Case, order: list[int]) -> None:
    """What the teacher knows of each student, in the new order."""
    if type(teacher) is Gate:
        with torch.no_grad():
            for values in (*teacher.linear.parameters(), *teacher.bn.parameters()):
                values.copy_(values[order].clone())
    elif teacher.wants(0):
        remember(teacher, case, order)
