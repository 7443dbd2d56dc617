"""What holds for every teacher, whatever the group, the batch, the classes and the temperature."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import batch_of, outputs_of, row, targets_of, teacher_of, terms_of

from okd.data.batch import Batch
from okd.distillation.methods import METHODS, Method
from okd.distillation.teachers.gate import Gate
from okd.distillation.teachers.teacher import Teacher
from okd.distillation.types import Outputs

SAMPLES, EPOCH = 150, 1  # epoch 1 distils in every method: no ramp, t_in = 1
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


# Every teacher, with targets both attached and cut off; what else a row may say does not concern the teacher.
TEACHERS: dict[str, Callable[[float], Method]] = {
    "dml": lambda T: row("dml", temperature=T),
    "dml of okddip": lambda T: row("dml", reading="okddip", temperature=T),
    "cl-ilr": lambda T: row("cl-ilr", temperature=T, ramp_up=0),
    "one": lambda T: row("one", temperature=T, ramp_up=0),
    "one, attached": lambda T: row("one", reading="okddip", temperature=T, ramp_up=0),
    "one without gating": lambda T: row("one", gate="mean", temperature=T, ramp_up=0),
    "okddip": lambda T: row("okddip", temperature=T, ramp_up=0),
    "okddip of the paper": lambda T: row("okddip", reading="paper", temperature=T),
    "okddip, weights": lambda T: row("okddip", target="weights", temperature=T, ramp_up=0),
    "okddip, mean": lambda T: row("okddip", attention="mean", temperature=T, ramp_up=0),
    "okddip, random": lambda T: row("okddip", attention="random", temperature=T, ramp_up=0),
    "okddip, identity": lambda T: row("okddip", attention="identity", temperature=T, ramp_up=0),
    "okddip, entropy": lambda T: row("okddip", first_level="entropy", temperature=T, ramp_up=0),
    "okddip, one level": lambda T: row("okddip", levels=1, temperature=T, ramp_up=0),
    "kdcl-naive": lambda T: row("kdcl-naive", temperature=T),
    "kdcl-linear": lambda T: row("kdcl-linear", temperature=T),
    "kdcl-minlogit": lambda T: row("kdcl-minlogit", temperature=T),
    "kdcl-general": lambda T: row("kdcl-general", temperature=T),
    "ec-dnn": lambda T: row("ec-dnn", temperature=T, t_in=1, t_d=2),
    "md": lambda T: row("md", temperature=T, t_in=1, t_d=2),
    "md-fixed": lambda T: row("md-fixed", temperature=T, t_in=1, t_d=2),
}


def prepared(name: str, case: Case) -> tuple[Method, Teacher, Case]:
    """The teacher, having seen what it asks for."""
    method = TEACHERS[name](case.temperature)
    if name in ("one", "one, attached"):
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


@pytest.mark.parametrize("name", TEACHERS)
@settings(derandomize=True, deadline=None, max_examples=12)
@given(case=cases())
def test_loss_and_gradients_are_finite_and_targets_are_distributions(name: str, case: Case) -> None:
    method, teacher, case = prepared(name, case)
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


@pytest.mark.parametrize("name", [name for name in TEACHERS if name != "okddip, random"])
@settings(derandomize=True, deadline=None, max_examples=8)
@given(case=cases())
def test_a_permutation_of_the_students_permutes_the_targets(name: str, case: Case) -> None:
    method, teacher, case = prepared(name, case)
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


def test_every_method_that_teaches_is_among_them() -> None:
    silent = {"baseline", "snapshot", "ind", "kd", "clnn"}  # kd has a test of its own, clnn is cl-ilr's teacher
    assert {name.partition(",")[0].partition(" ")[0] for name in TEACHERS} | silent == set(METHODS)
