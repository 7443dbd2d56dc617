"""Everything that changes while a run trains, built from its spec, saved and restored as one state."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.data.feed import Data, feed_for
from okd.distillation.groups import Group
from okd.distillation.methods import Method, method
from okd.distillation.schedules import Schedule, cycle_ends, learning_rate
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.networks.network import Network
from okd.plan.run import Run
from okd.training import numerics
from okd.training.capture import Captured
from okd.training.networks import pretrained, students_of
from okd.training.optimizer import SGD, FusedSGD, optimizer_for
from okd.training.processes import ALONE, Alone
from okd.training.step import Alarm, Totals, Weights, losses


@dataclass
class Epoch:
    """One row of history.csv: sums over the epoch's images, and integer counts of correct answers."""

    epoch: int
    lr: float
    hard: float
    soft: float
    loss_hard: float
    loss_soft: float
    loss_own: float
    loss_total: float
    seconds: float
    train_images: int
    train_correct: list[int]
    test_images: int
    test_correct: dict[str, int]


class Made(NamedTuple):
    """Images and a teacher that no result stands for."""

    data: Data
    pretrained: Network | None


class Session:
    """A run in progress. `position` counts steps from the start of the training."""

    def __init__(self, run: Run, root: Path, device: torch.device, processes: Alone = ALONE, *, made: "Made | None" = None) -> None:
        """Raises DataError, ValueError. `made` stands in for the run's data set and teacher, as in a bench."""
        named = numerics.NUMERICS[run.numerics.name]
        self.numerics = (
            replace(named, captured=False, compiled=False) if processes.place.shares_batches else named
        )  # others answer in no graph
        numerics.apply(self.numerics)
        self.run, self.device, self.processes = run, device, processes
        self.method: Method = method(run.method.name, run.method.options, epochs=run.recipe.epochs)
        if made:
            self.manifest, self.data = None, made.data
        else:
            self.manifest, self.data = feed_for(run, root, device=device, num_held_out=self.method.held_out)
        self.group: Group = self.method.group(students_of(run, processes.students(run))).to(device)
        self.teacher: Teacher = self._teacher(made.pretrained if made else pretrained(run, root)).to(device)
        self.data = processes.data(self.data)
        processes.prepare(self.group, self.teacher, run)
        self.forward = numerics.prepare(self.group, run, self.numerics, device)
        self.objective = torch.compile(self._objective) if self.numerics.compiled else self._objective
        self.optimizer = optimizer_for(self.group, self.teacher, run, FusedSGD if named.captured else SGD, processes.students(run))
        self.captured = Captured(self._compute) if self.numerics.captured and device.type == "cuda" else None
        self.rate: Schedule = learning_rate(run.recipe.lr, epochs=run.recipe.epochs, warm_up=run.recipe.warm_up)
        self.initial_rate = learning_rate(run.recipe.lr, epochs=run.recipe.epochs)(0)
        self.weights = Weights(self.method, device)
        self.totals, self.alarm = Totals(self.group.size, device), Alarm(device)
        self.history: list[Epoch] = []
        self.snapshots: list[dict[str, Tensor]] = []  # student 0 as it was where cycles of the learning rate ended
        self.epoch = self.step = 0
        self.seconds = 0.0  # of training, over all its sittings
        self.epoch_seconds = 0.0
        self.resumes = self.inexact_resumes = 0
        self.fingerprint = f"{numerics.fingerprint(device)}{processes.words}"
        torch.manual_seed(run.seed)  # dropout and random attention draw from here

    def _teacher(self, taught_by: Network | None) -> Teacher:
        sample = next(self.data.test()).images[:, :2]
        with torch.no_grad():
            self.group.eval()
            outputs = self.group(sample)
        setting = Setting(
            size=self.group.size,
            width=outputs.features[0].shape[1],
            trunk_channels=None if outputs.shared is None else outputs.shared.shape[1],
            num_samples=self.data.num_samples,
            num_classes=self.run.classes,
            pretrained=taught_by,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.run.seed)
            return self.method.teacher(setting)

    @property
    def position(self) -> int:
        return self.epoch * self.data.steps_per_epoch + self.step

    @property
    def num_steps(self) -> int:
        return self.run.recipe.epochs * self.data.steps_per_epoch

    def start_epoch(self) -> Iterator[Batch]:
        """Set the epoch's rates, and give its batches from the step where it stands."""
        rate = self.rate(self.epoch)
        self.optimizer.set_rate(rate, self.initial_rate)
        self.weights.set(self.epoch)
        self.group.train()
        self.teacher.train()
        views = self.group.size if self.method.views == "own" else 1
        return self.data.batches(self.epoch, views, self.step)

    def take_step(self, batch: Batch) -> None:
        """One step; the device may still be computing when this returns."""
        if self.captured and len(batch.labels) == self.run.recipe.batch_size:
            self.captured(batch, kind=self.weights.distils)
        else:  # the last, short batch: BatchNorm would see padding
            self._compute(batch)
        self.totals.images += len(batch.labels)
        self.step += 1

    def _compute(self, batch: Batch) -> None:
        """All of a step that happens on the device."""
        with self.processes.randomness():
            terms, logits = self.objective(batch)
        self.optimizer.zero_grad()
        terms = self.processes.backward(terms, self.optimizer.parameters(), len(batch.labels))
        self.alarm.watch(terms)
        self.optimizer.step()
        self.totals.add(terms, logits, batch.labels)

    def _objective(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss's terms, to be minimised in the last, and the students' logits (M, B, K)."""
        outputs = self.forward(batch.images)
        return losses(batch, outputs, self.teacher, self.weights), outputs.logits

    def end_epoch(self, test_correct: dict[str, int], test_images: int) -> None:
        """Write the history's row, keep a snapshot where the method wants one, and move to the next epoch."""
        totals = self.processes.total(self.totals)
        images = max(1, totals.images)
        loss = (totals.loss / images).tolist()
        self.history.append(
            Epoch(
                epoch=self.epoch,
                lr=self.rate(self.epoch),
                hard=float(self.weights.hard),
                soft=float(self.weights.soft),
                loss_hard=loss[0],
                loss_soft=loss[1],
                loss_own=loss[2],
                loss_total=loss[3],
                seconds=round(self.epoch_seconds, 3),
                train_images=totals.images,
                train_correct=totals.correct.tolist(),
                test_images=test_images,
                test_correct=test_correct,
            )
        )
        if self.method.keep == "each_cycle" and self._cycle_ends():
            self.snapshots.append({name: tensor.detach().clone() for name, tensor in self.group.student(0).state_dict().items()})
        self.epoch, self.step, self.epoch_seconds = self.epoch + 1, 0, 0.0
        self.totals.clear()

    def _cycle_ends(self) -> bool:
        recipe = self.run.recipe
        return self.epoch + 1 in cycle_ends(recipe.lr, epochs=recipe.epochs)

    def state_dict(self) -> dict[str, Any]:
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return {
            "group": self.group.state_dict(),
            "teacher": self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "totals": self.processes.total(self.totals).state_dict(),
            "alarm": self.alarm.first,
            "random": [torch.get_rng_state(), *cuda],
            "history": [asdict(row) for row in self.history],
            "snapshots": self.snapshots,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
            "resumes": self.resumes,
            "inexact_resumes": self.inexact_resumes,
            "fingerprint": self.fingerprint,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.group.load_state_dict(state["group"])
        self.teacher.load_state_dict(state["teacher"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.processes.place.saves:  # those that share its batches add to it
            self.totals.load_state_dict(state["totals"])
        self.alarm.first.copy_(state["alarm"])
        self.alarm.step.fill_(state["epoch"] * self.data.steps_per_epoch + state["step"])
        self.history = [Epoch(**row) for row in state["history"]]
        self.snapshots = [{name: tensor.to(self.device) for name, tensor in snapshot.items()} for snapshot in state["snapshots"]]
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds, self.epoch_seconds = state["seconds"], state["epoch_seconds"]
        self.resumes = state["resumes"] + 1
        self.inexact_resumes = state["inexact_resumes"] + (state["fingerprint"] != self.fingerprint)
        torch.set_rng_state(state["random"][0])
        if self.device.type == "cuda" and len(state["random"]) > 1:
            torch.cuda.set_rng_state(state["random"][1], self.device)
