"""A run whose students live on several nodes and exchange nothing but soft labels, once a cycle: MD as its authors describe it.

Nothing that happens between two meetings depends on the other students, so such a run equals one process with all of them to the bit; but
where students of two nodes have dropout, which one process would draw for one after the other.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from okd.distillation.groups import Group
from okd.distillation.teachers.memory import Memory, correct_answers
from okd.distillation.teachers.teacher import Teacher
from okd.plan.run import Run
from okd.training.checkpoint import digest
from okd.training.distributed.meeting import Meeting
from okd.training.distributed.place import Place, shares
from okd.training.distributed.softlabels import SoftLabels, Wanted
from okd.training.part import Part, joined
from okd.training.predict import Predictions
from okd.training.processes import Alone
from okd.training.session import Epoch, Session
from okd.training.stop import Stop

NOTE = "note"


class Apart(Alone):
    """One of several nodes."""

    def __init__(self, place: Place, run: Run, stop: Stop, meeting: Meeting) -> None:
        self.place, self.run, self.stop, self.meeting = place, run, stop, meeting
        self.session: Session | None = None

    def students(self, run: Run) -> range:
        return shares(run, self.place.count)[self.place.rank]

    def prepare(self, group: Group, teacher: Teacher, run: Run) -> None:
        assert isinstance(teacher, Memory), f"{run.method.name} has phases, and a teacher that remembers nothing"
        self.teacher = teacher

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Nobody is asked; but where another is gone, this one should stop, and save."""
        ended = self.session is not None and self.session.epoch == self.run.recipe.epochs  # others may have gone home
        if not ended and (words := self.meeting.lost()):
            self.stop.reason = self.stop.reason or words
        return (wishes[0] or self.stop.reason is not None, *wishes[1:])

    def started(self, session: Session) -> None:
        if self.session is None:
            index = torch.from_numpy(session.data.used)
            self.meeting.begin(self._rounds(session.epoch), lambda: session.teacher.get_buffer("rows").cpu()[index].numpy())
        self.session = session

    def _rounds(self, epoch: int) -> int:
        """Meetings before an epoch."""
        return sum(self.teacher.wants(one) is not None for one in range(epoch))

    def remember(self, teacher: Teacher, epoch: int, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        assert isinstance(teacher, Memory)
        assert self.session is not None
        wanted = Wanted(
            key=self.run.key, round=self._rounds(epoch), images=len(index), classes=logits.shape[2], temperature=teacher.temperature
        )
        correct = correct_answers(logits, labels).tolist()
        said = [
            SoftLabels.of(
                rows.cpu().numpy(), wanted, student=student, correct=int(count), weights=digest(self.session.group.student(m).state_dict())
            )
            for m, (student, rows, count) in enumerate(zip(self.students(self.run), teacher.say(logits), correct, strict=True))
        ]
        mixture = self.meeting.meet(wanted, said, lambda all_: mixed(teacher, all_))
        teacher.keep(index, torch.from_numpy(mixture).to(logits.device))

    def diverged(self, step: int, term: str) -> None:
        self.meeting.diverged(step, term)

    def collect(self, part: Part) -> Part | None:
        if not self.place.first:  # what is remembered is the same everywhere
            part = replace(part, weights={name: tensor for name, tensor in part.weights.items() if not name.startswith("teacher.")})
        parts = self.meeting.deliver(packed(replace(part, exchange=self._exchange())))
        if parts is None:
            return None
        return joined([unpacked(raw) for raw in parts])

    def _exchange(self) -> dict[str, Any]:
        assert isinstance(self.teacher, Memory)
        assert self.session is not None
        phases = self.teacher.phases
        return asdict(self.meeting.traffic) | {
            "by": self.meeting.name,
            "students": len(self.students(self.run)),
            "parameters": sum(parameter.numel() for parameter in self.session.group.parameters()),
            "steps": (phases.t_in + phases.t_d) * self.session.data.steps_per_epoch,
        }


def packed(part: Part) -> bytes:
    """A part as one safetensors file."""
    note = {"names": part.names, "history": [asdict(epoch) for epoch in part.history], "diverged": part.diverged, "exchange": part.exchange}
    tensors = {f"weights/{name}": tensor for name, tensor in part.weights.items()}
    tensors |= {f"rows/{name}": torch.from_numpy(rows).contiguous() for name, rows in part.predictions.rows.items()}
    tensors |= {"labels": torch.from_numpy(part.predictions.labels)}
    return save(tensors | {NOTE: torch.frombuffer(bytearray(json.dumps(note).encode()), dtype=torch.uint8)})


def unpacked(raw: bytes) -> Part:
    tensors = load(raw)
    note = json.loads(tensors.pop(NOTE).numpy().tobytes())
    rows = {name.removeprefix("rows/"): rows.numpy() for name, rows in tensors.items() if name.startswith("rows/")}
    return Part(
        names=note["names"],
        weights={name.removeprefix("weights/"): tensor for name, tensor in tensors.items() if name.startswith("weights/")},
        predictions=Predictions(tensors["labels"].numpy(), rows),
        history=[Epoch(**epoch) for epoch in note["history"]],
        diverged=note["diverged"],
        exchange=note["exchange"],
    )


def mixed(teacher: Memory, said: Sequence[SoftLabels]) -> np.ndarray:
    """The server's step."""
    correct = torch.tensor([one.manifest.correct for one in said], dtype=torch.float32)
    return teacher.mixture((torch.from_numpy(one.rows) for one in said), correct).numpy()
