"""The training loop, the only one: steps, show, evaluate, save; and what a run leaves behind."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from okd.plan.run import Run
from okd.plan.store import Places, read_json
from okd.training import checkpoint
from okd.training.distributed.meeting import Diverged
from okd.training.entries import clear
from okd.training.numerics import choose_device
from okd.training.predict import evaluate, predict_finally, show
from okd.training.processes import ALONE, Alone
from okd.training.progress import Progress
from okd.training.result import publish
from okd.training.session import Session
from okd.training.stop import Stop, Stopped

CHECK_EVERY = 50  # steps between two looks at the alarm
SAVE_EVERY_S = 300.0


def train(
    run: Run,
    root: Path,
    *,
    stop: Stop,
    may_write: Callable[[], None],
    device: torch.device | None = None,
    processes: Alone = ALONE,
) -> str:
    """Train a run to its end and publish its result; return "done" or "diverged".

    Raises Stopped when it was asked to stop (after saving), DataError, ValueError, OSError.
    """
    places = Places(root, run)
    _require_sound_teacher(run, root)
    session = _resumed(run, root, places, device or choose_device(), processes)
    sitting = _Sitting(session, places, stop, may_write)
    status, reason = "done", None
    try:
        while session.epoch < run.recipe.epochs:
            _epoch(session, sitting)
        predictions = predict_finally(session)
    except Diverged as problem:
        status = "diverged"
        processes.diverged(problem.step, problem.term)
        reason = {"step": problem.step, "term": problem.term, "epoch": problem.step // session.data.steps_per_epoch}
        session = _last_finite(session, root, places)
        predictions = predict_finally(session)
    status = publish(session, places, status=status, predictions=predictions, reason=reason, may_write=may_write)
    if processes.place.saves and places.finished():
        clear(processes.place.scratch(places.scratch))  # or the run, from scratch, would go on from its end
    return status


def _require_sound_teacher(run: Run, root: Path) -> None:
    """Nothing is learned from a network that diverged: what it left behind is its last finite state, or its first."""
    if run.teacher is None:
        return
    record = read_json(Places(root, run).results / run.teacher / str(run.teacher_key) / "result.json") or {}
    if record.get("status") == "diverged":
        raise ValueError(f"{run.id}: its teacher {run.teacher} diverged, there is nothing to learn from it")


def _resumed(run: Run, root: Path, places: Places, device: torch.device, processes: Alone) -> Session:
    session = Session(run, root, device, processes)
    if state := processes.in_turn(lambda: checkpoint.load(processes.place.scratch(places.scratch), key=run.key)):
        before, now = str(state.get("fingerprint")), session.fingerprint
        try:
            session.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError, ValueError) as problem:
            words = str(problem).splitlines()[0]
            raise ValueError(f"{places.scratch}: another version wrote the resume file ({words}); delete the folder") from None
        line = f"{run.id}: resumes after {session.position} of {session.num_steps} steps"
        if before != now:
            line += f"; saved on {before}, now on {now}: the last bits may differ, and the result counts it as an inexact resume"
        if processes.place.saves:
            print(line, file=sys.stderr)
    processes.started(session)
    return session


def _last_finite(diverged: Session, root: Path, places: Places) -> Session:
    """The run as its last checkpoint has it, else as it began."""
    run, processes = diverged.run, diverged.processes
    session = Session(run, root, diverged.device, processes)
    if state := processes.in_turn(lambda: checkpoint.load(processes.place.scratch(places.scratch), key=run.key)):
        session.load_state_dict(state)
    processes.started(session)
    session.resumes, session.inexact_resumes = diverged.resumes, diverged.inexact_resumes
    return session


def _epoch(session: Session, sitting: "_Sitting") -> None:
    for batch in session.start_epoch():
        session.take_step(batch)
        if session.position % CHECK_EVERY == 0:
            _look(session)
        sitting.after_step()
    _look(session)
    remembered = session.teacher.wants(session.epoch) == "train"
    session.processes.after_steps(session.group, session.teacher)
    show(session)
    correct, images = evaluate(session)
    sitting.tick()
    session.end_epoch(correct, images)
    deployed = "leader" if session.method.leader else next(iter(correct))
    sitting.after_epoch(error=100 * (1 - correct[deployed] / images), worth_saving=remembered)


class _Sitting:
    """One process's share of a run: its clock, its checkpoints, its end."""

    def __init__(self, session: Session, places: Places, stop: Stop, may_write: Callable[[], None]) -> None:
        self.session, self.places, self.stop, self.may_write = session, places, stop, may_write
        self.clock = self.saved = time.monotonic()
        self.progress = Progress(
            session.run.id,
            session.run.recipe.epochs,
            places.progress,
            done_before=session.position / session.num_steps,
            may_write=may_write,
        )

    def after_step(self) -> None:
        self._tell()
        if self._agreed(save=time.monotonic() - self.saved > SAVE_EVERY_S):
            self.save()

    def after_epoch(self, error: float, *, worth_saving: bool) -> None:
        """Save what took a pass over all images, and the end."""
        session = self.session
        self.progress.error = error
        self._tell()
        if self._agreed(save=worth_saving or session.epoch == session.run.recipe.epochs):
            self.save()

    def _tell(self) -> None:
        session = self.session
        if session.processes.place.first:
            self.progress.step(session.position / session.num_steps, session.epoch)

    def _agreed(self, *, save: bool) -> bool:
        """Whether to save now. Where any process was asked to stop, all save and raise Stopped."""
        session = self.session
        stop, save = session.processes.agree(self.stop.wanted, save)
        if stop:
            self.save()
            reason = self.stop.reason or "another of its processes was asked to"
            raise Stopped(f"{session.run.id}: stopped ({reason}) after {session.position} of {session.num_steps} steps; saved")
        return save

    def tick(self) -> None:
        now = time.monotonic()
        self.session.seconds += now - self.clock
        self.session.epoch_seconds += now - self.clock
        self.clock = now

    def save(self) -> None:
        """Write a checkpoint of a state that is finite, if this trainer still owns the run."""
        session = self.session
        self.tick()
        _look(session)
        self.may_write()
        folder, state = session.processes.place.scratch(self.places.scratch), session.state_dict()
        try:
            session.processes.save(
                lambda: checkpoint.save(folder, state, step=session.position, key=session.run.key, may_write=self.may_write)
            )
        except checkpoint.NotFinite as problem:
            raise Diverged(session.position, f"weight {problem}") from None
        self.saved = time.monotonic()


def _look(session: Session) -> None:
    """Wait for the device and raise Diverged if something was not finite."""
    if found := session.alarm.read():
        raise Diverged(*found)
