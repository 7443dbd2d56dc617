"""Rows A1 to A4: a run that was killed and resumed has the bits of one that was not, for every method and family.

And A2, the negative controls: leave one item of the state out, and the same comparison fails.
"""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from child import Hook, Nursery, after, before, kill
from tiny import EPOCHS, STEPS, Trial, make_tiny, name_of

import okd.training.train
from okd.training import checkpoint
from okd.training.predict import predict
from okd.training.session import Session
from okd.training.train import _Sitting

pytest_plugins = ("trainers",)
SAMPLE = ("2xresnet8-md-t-in.1-t-d.1", "resnet8-snapshot", "resnet8-okddip-students.3-ramp-up.2-attention.random")
TEACHER = "resnet8-baseline"


@pytest.fixture(scope="module")
def taught(nursery: Nursery, trial: Callable[[str], Trial]) -> Callable[[str], Trial]:
    """A run whose teacher, where it has one, is trained."""

    def ready(name: str) -> Trial:
        one = trial(name)
        if one.run.teacher and not trial(TEACHER).places.finished():
            assert nursery.train(trial(TEACHER), save_every_s=1e9).code == 0
        return one

    return ready


def names() -> list[str]:
    """Every run of the tiny project: each method of the catalog at least once."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return [name_of(run) for run in make_tiny(Path(folder))[1].values()]


ALL = names()

# Where a run is killed, one after the other; each kill is met by the process that the one before left to resume.
KILLS: Mapping[str, Callable[[], Hook]] = {
    "in the middle of the first epoch": lambda: after(_Sitting, "after_step", kill, nth=3),
    "before the teacher remembers": lambda: before(okd.training.train, "show", kill, nth=1),
    "after it, before anything is saved": lambda: after(okd.training.train, "show", kill, nth=1),
    "between two epochs": lambda: after(Session, "end_epoch", kill, nth=1),
    "in the first step of a phase": lambda: before(Session, "take_step", kill, nth=2),
    "when a cycle ends": lambda: before(Session, "end_epoch", kill, nth=2),
    "before the result is published": lambda: before(okd.training.train, "publish", kill, nth=1),
}


def test_every_method_of_the_catalog_is_here() -> None:
    from okd.plan.catalog import catalog

    with pytest.MonkeyPatch.context():
        built = {name for name, entry in catalog().methods.items() if entry.built}
    tried = {method for method in built if any(f"-{method}" in name for name in ALL)}
    assert built == tried


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in ALL])
def test_killed_seven_times_it_has_the_same_bits(
    name: str, nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = taught(name)
    wanted = whole(one)
    for where, hook in KILLS.items():
        child = nursery.train(one, hooks=[hook()])
        assert child.code == -signal.SIGKILL, f"{where}: {child.text}"
    child = nursery.train(one)
    assert child.code == 0, child.text
    assert one.bits() == wanted
    assert 0 < one.result["resumes"] <= len(KILLS)  # a sitting that saved nothing before it was killed is not known of
    assert one.result["inexact_resumes"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8-okddip-students.3-ramp-up.2", "2xresnet8-md-t-in.1-t-d.1"])
def test_killed_after_every_step(name: str, nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    """Each sitting takes one step: twenty kills."""
    one = taught(name)
    wanted = whole(one)
    for step in range(EPOCHS * STEPS):
        child = nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=1)])
        assert child.code == -signal.SIGKILL, f"{step}: {child.text}"
    assert nursery.train(one).code == 0
    assert one.bits() == wanted


def keep_apart() -> None:
    checkpoint.STORE_BYTES = 1000


@pytest.mark.slow
def test_stores_beside_the_resume_file(nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    """Every tensor of some size in a file of its own, the soft labels too: killed before and after they are written anew."""
    one = taught("2xresnet8-md-t-in.1-t-d.1")
    wanted = whole(one)
    for hook in (
        after(_Sitting, "after_step", kill, nth=3),
        after(okd.training.train, "show", kill, nth=1),
        after(Session, "end_epoch", kill),
    ):
        assert nursery.train(one, hooks=[keep_apart, hook]).code == -signal.SIGKILL
    assert len(list(one.scratch.glob("store-*.bin"))) > 10
    assert nursery.train(one, hooks=[keep_apart]).code == 0
    assert one.bits() == wanted


def leave_out(*path: str) -> Hook:
    """Resume as if this item of the state had not been saved: it stays as a new session has it."""

    def install() -> None:
        plain = Session.load_state_dict

        def load(self: Session, state: dict[str, Any]) -> None:
            fresh = self.state_dict()
            for part in path:
                if part == "buffers":
                    parameters = {name for name, _ in self.group.named_parameters()}
                    state["group"] |= {name: value for name, value in fresh["group"].items() if name not in parameters}
                else:
                    state[part] = fresh[part]
            plain(self, state)

        Session.load_state_dict = load  # type: ignore[method-assign]

    return install


# The item, and the run in which it matters.
ITEMS = [
    (("group",), "resnet8-okddip-students.3-ramp-up.2"),
    (("buffers",), "resnet8-okddip-students.3-ramp-up.2"),
    (("optimizer",), "resnet8-okddip-students.3-ramp-up.2"),
    (("random",), "resnet8-okddip-students.3-ramp-up.2-attention.random"),
    (("teacher",), "2xresnet8-md-t-in.1-t-d.1"),
    (("epoch",), "resnet8-okddip-students.3-ramp-up.2"),  # the schedules, and the data's order
    (("step",), "resnet8-okddip-students.3-ramp-up.2"),  # the position in the epoch
    (("totals",), "resnet8-okddip-students.3-ramp-up.2"),
    (("history",), "resnet8-okddip-students.3-ramp-up.2"),
    (("snapshots",), "resnet8-snapshot"),
]
LATE = 2 * STEPS + STEPS - 2  # in the third epoch: a phase of distillation, and a snapshot was taken


@pytest.mark.parametrize(
    ("items", "name"), [pytest.param(*item, marks=() if item[0] in (("buffers",), ("random",)) else pytest.mark.slow) for item in ITEMS]
)
def test_an_item_that_is_left_out_is_noticed(
    items: tuple[str, ...], name: str, nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = taught(name)
    wanted = whole(one)
    late = LATE if "md" not in name else LATE + STEPS
    child = nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=late)])
    assert child.code == -signal.SIGKILL
    child = nursery.train(one, hooks=[leave_out(*items)])
    assert child.code == 0, child.text
    assert one.bits() != wanted


@pytest.mark.slow
def test_buffers_leave_no_trace_in_the_losses(nursery: Nursery, trial: Callable[[str], Trial]) -> None:
    """Why losses prove no resume: without the running statistics of batch normalisation the training losses stay the same."""
    one = trial("resnet8-baseline").fresh()

    def losses() -> list[str]:
        header = (one.places.result / "history.csv").read_text().splitlines()[0].split(",")
        wanted = [name.startswith("loss") for name in header if name != "seconds"]
        return [",".join(value for value, is_loss in zip(line.split(","), wanted, strict=True) if is_loss) for line in one.history()]

    bits, lines = set(), set()
    for hooks in ([], [leave_out("buffers")]):
        one.fresh()
        nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=LATE)])
        assert nursery.train(one, hooks=hooks).code == 0
        bits.add(one.bits())
        lines.add("\n".join(losses()))
    assert len(bits) == 2
    assert len(lines) == 1


def look_often(every: int) -> Hook:
    """Evaluate in the middle of epochs too."""

    def install() -> None:
        plain, taken = Session.take_step, [0]

        def step(self: Session, batch: Any) -> None:
            plain(self, batch)
            taken[0] += 1
            if taken[0] % every == 0:
                predict(self)
                self.group.train()
                self.teacher.train()

        Session.take_step = step  # type: ignore[method-assign]

    return install


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("name", ["resnet8-okddip-students.3-ramp-up.2", "2xvgg-tiny-dml", "2xresnet8-md-t-in.1-t-d.1"])
def test_evaluations_change_nothing(
    name: str, every: int, nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = taught(name)
    wanted = whole(one)
    child = nursery.train(one, hooks=[look_often(every)])
    assert child.code == 0, child.text
    assert one.bits() == wanted


def save_each(steps: int) -> Hook:
    def install() -> None:
        plain = _Sitting.save

        def save(self: _Sitting) -> None:
            if self.session.position % steps == 0:
                plain(self)

        _Sitting.save = save  # type: ignore[method-assign]

    return install


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 4, EPOCHS * STEPS])
def test_saves_change_nothing(every: int, nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]) -> None:
    one = taught("resnet8-okddip-students.3-ramp-up.2")
    wanted = whole(one)
    assert nursery.train(one, hooks=[save_each(every)]).code == 0
    assert one.bits() == wanted


def test_two_resumes_in_an_epoch_and_one_at_its_end(
    nursery: Nursery, taught: Callable[[str], Trial], whole: Callable[[Trial], str]
) -> None:
    one = taught("resnet8-okddip-students.3-ramp-up.2")
    wanted = whole(one)
    for steps in (2, 1, 2, STEPS):
        assert nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=steps)]).code == -signal.SIGKILL
    assert nursery.train(one).code == 0
    assert one.bits() == wanted
    assert len(one.history()) == EPOCHS, "no epoch is skipped or done twice"
    stamp = (one.places.result / "result.json").stat().st_mtime_ns
    again = nursery.train(one)
    assert (again.code, again.steps) == (0, 0)
    assert "already done" in again.text
    assert (one.places.result / "result.json").stat().st_mtime_ns == stamp


def test_another_machine_is_counted(nursery: Nursery, taught: Callable[[str], Trial]) -> None:
    """A5: another fingerprint goes on, says so once, and the result counts it."""
    one = taught("resnet8-snapshot").fresh()
    assert nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=3)]).code == -signal.SIGKILL

    def another() -> None:
        from okd.training import numerics

        numerics.fingerprint = lambda device: "torch 1.0, an abacus"  # type: ignore[assignment]

    child = nursery.train(one, hooks=[another])
    assert child.code == 0, child.text
    assert len(child.lines("an abacus")) == 1
    assert "the result counts it as an inexact resume" in child.text
    assert (one.result["resumes"], one.result["inexact_resumes"]) == (1, 1)


def test_a_checkpoint_of_another_spec_is_refused(nursery: Nursery, taught: Callable[[str], Trial]) -> None:
    """A6: whatever was edited has another key; a checkpoint that lies under it all the same is not taken."""
    one, other = taught("resnet8-snapshot").fresh(), taught("resnet8-baseline").fresh()
    assert nursery.train(one, hooks=[after(_Sitting, "after_step", kill, nth=3)]).code == -signal.SIGKILL
    other.scratch.parent.mkdir(parents=True, exist_ok=True)
    (one.scratch / "lock").rename(one.scratch / "gone")
    one.scratch.rename(other.scratch)
    child = nursery.train(other)
    assert (child.code, child.steps) == (2, 0)
    lines = child.lines("okd: ")
    assert len(lines) == 1
    assert f"belongs to another spec ({one.run.key}, not {other.run.key})" in lines[0]
    (other.scratch / "resume.json").unlink()
    assert "belongs to another spec" in nursery.train(other).text, "its own inside says so too"
