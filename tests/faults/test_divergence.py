"""Rows J1 to J4: a run that diverges is a result; one whose device fails is a failure. Neither is taken for the other."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from child import Hook, Nursery, before, kill
from tiny import STEPS, Trial

import okd.training.train
from okd.plan.store import read_json
from okd.training.session import Session

pytest_plugins = ("trainers",)
PAIR, NAIVE, STABLE = "2xresnet8-dml", "2xresnet8-md-t-in.1-t-d.1-kl.naive", "2xresnet8-md-t-in.1-t-d.1"


def planned_with(one: Trial, *, recipe: dict[str, Any], options: dict[str, Any] | None = None) -> Trial:
    """The same run with another recipe, as if the paper said so."""
    run = replace(
        one.run,
        recipe=replace(one.run.recipe, **recipe),
        method=replace(one.run.method, options={**one.run.method.options, **(options or {})}),
    )
    return Trial(one.root, run).fresh()


def in_step(number: int, do: Callable[[Session, Any], Any]) -> Hook:
    """Change session or batch just before this step."""

    def install() -> None:
        plain = Session.take_step

        def step(self: Session, batch: Any) -> None:
            changed = do(self, batch) if self.position == number else None
            plain(self, batch if changed is None else changed)

        Session.take_step = step  # type: ignore[method-assign]

    return install


def poison(session: Session, batch: Any) -> None:
    next(session.group.student(1).parameters()).data.fill_(float("nan"))


def infinite(session: Session, batch: Any) -> Any:
    return batch._replace(images=batch.images * float("inf"))


def check_diverged(nursery: Nursery, one: Trial, *, step: int | None, term: str, hooks: list[Hook]) -> None:
    child = nursery.train(one, hooks=hooks)
    assert child.code == 0, child.text
    assert "Traceback" not in child.text
    text = (one.places.result / "result.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    found = one.result
    assert found["status"] == "diverged"
    assert term in found["diverged"]["term"]
    if step is not None:
        assert found["diverged"]["step"] == step
        assert found["diverged"]["epoch"] == step // STEPS
    assert set(found["test_correct"].values()) == {None}
    assert found["best_epoch"] is None
    again = nursery.train(one)
    assert (again.code, again.steps) == (0, 0), "it is not tried again"
    assert "already done" in again.text


@pytest.mark.slow
def test_one_bad_batch(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    check_diverged(nursery, trial(PAIR).fresh(), step=7, term="hard", hooks=[in_step(7, infinite)])


def test_a_student_with_a_bad_weight_takes_its_peer_along(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    """J3: no peer trains on labels that are not finite; the group diverges, and what is kept is from before."""
    from safetensors.torch import load_file

    one = trial(PAIR).fresh()
    check_diverged(nursery, one, step=7, term="hard", hooks=[in_step(7, poison)])
    weights = load_file(one.places.result / "weights.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())


@pytest.mark.slow
def test_a_weight_that_is_not_finite_when_it_is_saved(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    def then_poison(session: Session, batch: Any) -> None:
        session.optimizer.step = lambda: poison(session, batch)  # type: ignore[method-assign]

    check_diverged(nursery, trial(PAIR).fresh(), step=8, term="weight group.", hooks=[in_step(7, then_poison)])


def test_a_learning_rate_of_a_million(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = planned_with(trial(PAIR), recipe={"lr": {"multistep": [1e6, 2]}})
    check_diverged(nursery, one, step=None, term="", hooks=[])
    assert one.result["diverged"]["step"] <= 3


def wide(spread: float) -> Hook:
    """Logits of this spread, whatever the image."""

    def install() -> None:
        plain = Session.__init__

        def start(self: Session, *arguments: Any) -> None:
            plain(self, *arguments)
            for m in range(self.group.size):
                linear = [layer for layer in self.group.student(m).modules() if isinstance(layer, torch.nn.Linear)][-1]
                linear.weight.data.zero_()
                linear.bias.data.copy_(torch.linspace(0, spread, len(linear.bias)))

        Session.__init__ = start  # type: ignore[method-assign]

    return install


@pytest.mark.parametrize("spread", [60.0, pytest.param(40.0, marks=pytest.mark.slow)])
def test_the_naive_divergence_of_wide_logits(spread: float, nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    """At t = 0.5 a softmax of logits 60 apart becomes 0, and its log infinite: at the first step that distils. 40 apart is finite."""
    slow = {"lr": {"multistep": [1e-9, 2]}}
    one = planned_with(trial(NAIVE), recipe=slow, options={"temperature": 0.5})
    if spread == 60.0:
        check_diverged(nursery, one, step=STEPS, term="soft", hooks=[wide(spread)])
    else:
        assert nursery.train(one, hooks=[wide(spread)]).code == 0
        assert one.result["status"] == "done"


@pytest.mark.slow
def test_the_stable_divergence_of_wide_logits(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = planned_with(trial(STABLE), recipe={"lr": {"multistep": [1e-9, 2]}}, options={"temperature": 0.5})
    assert nursery.train(one, hooks=[wide(60.0)]).code == 0
    assert one.result["status"] == "done"


@pytest.mark.slow
def test_killed_before_it_could_say_so(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    one = trial(PAIR).fresh()
    killed = nursery.train(one, hooks=[in_step(7, infinite), before(okd.training.train, "publish", kill)])
    assert killed.code == -signal.SIGKILL
    assert not one.places.finished()
    check_diverged(nursery, one, step=7, term="hard", hooks=[in_step(7, infinite)])
    assert one.result["resumes"] == 1


def test_nobody_learns_from_what_diverged(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    teacher, student = trial("resnet8-baseline").fresh(), trial("resnet8-kd").fresh()
    check_diverged(nursery, teacher, step=7, term="hard", hooks=[in_step(7, infinite)])
    child = nursery.train(student)
    assert (child.code, child.steps) == (2, 0)
    assert f"its teacher {teacher.run.id} diverged" in child.text
    assert not student.places.folder.exists()


def raising(error: BaseException) -> Callable[[Session, Any], None]:
    def fail(session: Session, batch: Any) -> None:
        raise error

    return fail


FAILURES = {
    "memory of the device": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has 1"), "CUDA out of memory"),
    "memory of the machine": (MemoryError(), "out of memory"),
    "an allocator": (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: 8"), "out of memory"),
    "the device": (
        RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might"),
        "the device failed: CUDA",
    ),
    "cuDNN": (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "the device failed: cuDNN error"),
    "a loader worker": (RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. "), "DataLoader worker (pid 7) is killed"),
    "a mistake of ours": (AssertionError("impossible"), "AssertionError: impossible"),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(name, marks=() if name in ("memory of the device",) else pytest.mark.slow) for name in FAILURES]
)
def test_failures_are_no_divergence(kind: str, nursery: Nursery, trial: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = trial(PAIR)
    wanted = whole(one)
    error, words = FAILURES[kind]
    child = nursery.train(one, hooks=[in_step(7, raising(error))])
    assert child.code == 1, child.text
    lines = child.lines("okd: ")
    assert len(lines) == 1
    assert words in lines[0]
    assert f"again: dvc repro train@{one.run.id}" in lines[0]
    assert "Traceback" not in child.text
    assert not one.places.folder.exists()
    failure = read_json(one.places.failure)
    assert failure is not None
    assert words in failure["error"]
    assert "Traceback" in failure["traceback"]
    again = nursery.train(one)
    assert again.code == 0, again.text
    assert one.bits() == wanted, "the batch is what it was"
    assert not one.places.failure.exists()
