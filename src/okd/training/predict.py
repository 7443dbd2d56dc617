"""What students and teacher answer to the test images: counts after every epoch, logits at the end."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.types import Outputs
from okd.training.session import Session

LARGEST_FLOAT16 = 65504.0


@dataclass(frozen=True)
class Predictions:
    """Named rows of test logits (N, K) in fp32, and the labels (N,)."""

    labels: np.ndarray
    rows: dict[str, np.ndarray]

    def correct(self) -> dict[str, int]:
        return {name: int((logits.argmax(axis=1) == self.labels).sum()) for name, logits in self.rows.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """What predictions.npz holds: logits in fp16, and the five best classes as they stood in fp32."""
        arrays: dict[str, np.ndarray] = {"labels": self.labels.astype(np.int16)}
        for name, logits in self.rows.items():
            arrays[name] = np.clip(logits, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16)
            arrays[f"{name}_top5"] = np.argsort(-logits, axis=1, kind="stable")[:, :5].astype(np.int16)
        return arrays


def row_names(session: Session) -> list[str]:
    """student_0, student_1, ...; a leader is called leader."""
    first = session.processes.students(session.run).start
    names = [f"student_{first + m}" for m in range(session.group.size)]
    return [*names[:-1], "leader"] if session.method.leader else names


@torch.no_grad()
def evaluate(session: Session) -> tuple[dict[str, int], int]:
    """Correct answers to the test images, by row, and the number of images: counted on the device, read once."""
    names, images = [*row_names(session), "teacher"], 0
    counts = torch.zeros(len(names), dtype=torch.int64, device=session.device)
    answers_itself = False
    for batch, outputs in _answers(session, session.data.test()):
        lesson = session.teacher(batch, outputs)
        counts[:-1] += (outputs.logits.argmax(dim=2) == batch.labels).sum(dim=1)
        if lesson.prediction is not None:
            counts[-1] += (lesson.prediction.argmax(dim=1) == batch.labels).sum()
            answers_itself = True
        images += len(batch.labels)
    counts, images = session.processes.sum(counts), int(session.processes.sum(torch.tensor(images)))
    found = dict(zip(names, counts.tolist(), strict=True))
    return (found if answers_itself else {name: found[name] for name in names[:-1]}), images


@torch.no_grad()
def predict(session: Session) -> Predictions:
    """Logits of every student, and of the teacher where it answers for itself, in evaluation mode."""
    names, labels, index = row_names(session), list[Tensor](), list[Tensor]()
    rows: dict[str, list[Tensor]] = {}
    for batch, outputs in _answers(session, session.data.test()):
        labels.append(batch.labels)
        index.append(batch.index)
        for name, logits in zip(names, outputs.logits, strict=True):
            rows.setdefault(name, []).append(logits)
        lesson = session.teacher(batch, outputs)
        if lesson.prediction is not None:
            rows.setdefault("teacher", []).append(lesson.prediction)
    whole = session.processes.gather(torch.cat(index))
    answers = {name: whole(torch.cat(parts)).float().cpu().numpy() for name, parts in rows.items()}
    return Predictions(whole(torch.cat(labels)).cpu().numpy(), answers)


@torch.no_grad()
def predict_finally(session: Session) -> Predictions:
    """The same with a row for every snapshot: what a result holds."""
    predictions = predict(session)
    network = deepcopy(session.group.student(0)).eval()
    for k, snapshot in enumerate(session.snapshots):
        network.load_state_dict(snapshot)
        seen = [(batch.index, network(batch.images[0])[0]) for batch in session.data.test()]
        index, logits = (torch.cat(parts) for parts in zip(*seen, strict=True))
        predictions.rows[f"snapshot_{k}"] = session.processes.gather(index)(logits).float().cpu().numpy()
    return predictions


@torch.no_grad()
def show(session: Session) -> None:
    """After an epoch, show the teacher all that it asks for."""
    wanted = session.teacher.wants(session.epoch)
    if wanted is None:
        return
    session.processes.remember(session.teacher, session.epoch, *_seen(session, held_out=wanted == "held_out"))


def _seen(session: Session, *, held_out: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Index (N,), logits (M, N, K), labels (N,); nothing else of them is left in memory, where ImageNet's logits take 10 GB."""
    batches = session.data.held_out() if held_out else session.data.ordered()
    seen = [(batch.index, outputs.logits, batch.labels) for batch, outputs in _answers(session, batches)]
    index, logits, labels = zip(*seen, strict=True)
    return torch.cat(index), torch.cat(logits, dim=1), torch.cat(labels)


def _answers(session: Session, batches: Iterator[Batch]) -> Iterator[tuple[Batch, Outputs]]:
    session.group.eval()
    session.teacher.eval()
    for batch in batches:
        yield batch, session.group(batch.images)
