"""What a run leaves behind: weights, predictions, history and the record of them."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from safetensors.torch import save as to_safetensors
from torch import Tensor

from okd.plan.store import Places
from okd.training import numerics
from okd.training.part import Part
from okd.training.predict import Predictions, row_names
from okd.training.publish import publish_files
from okd.training.session import Epoch, Session


def weights_of(session: Session) -> dict[str, Tensor]:
    """Every student and snapshot as an ordinary network, and what the teacher learned or remembers."""
    tensors: dict[str, Tensor] = {}
    for m, name in enumerate(row_names(session)):
        tensors |= {f"{name}.{part}": tensor for part, tensor in session.group.student(m).state_dict().items()}
    for k, snapshot in enumerate(session.snapshots):
        tensors |= {f"snapshot_{k}.{part}": tensor for part, tensor in snapshot.items()}
    frozen = {name.partition(".")[0] for name, parameter in session.teacher.named_parameters() if not parameter.requires_grad}
    tensors |= {f"teacher.{part}": tensor for part, tensor in session.teacher.state_dict().items() if part.partition(".")[0] not in frozen}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}  # branches share a trunk; files do not


def history_csv(part: Part) -> str:
    """history.csv: one line an epoch, integer correct counts per row."""
    text = io.StringIO()
    rows = []
    for epoch in part.history:
        record = {name: value for name, value in asdict(epoch).items() if name not in ("train_correct", "test_correct")}
        record |= {f"train_{name}": count for name, count in zip(part.names, epoch.train_correct, strict=True)}
        record |= {f"test_{name}": count for name, count in epoch.test_correct.items()}
        rows.append(record)
    columns = list(rows[0]) if rows else ["epoch"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def record_of(session: Session, status: str, part: Part, digests: dict[str, str], reason: Any) -> dict[str, Any]:
    """result.json. A diverged run has no metrics, only where and how it diverged."""
    assert session.manifest, "made images have no result"
    run, total = session.run, len(part.predictions.labels)
    correct = part.predictions.correct()
    return {
        "id": run.id,
        "key": run.key,
        "status": status,
        "diverged": reason,
        "epochs": session.epoch,
        "test_images": total,
        "test_correct": correct if status == "done" else dict.fromkeys(correct),
        "best_epoch": best_epochs(part.history) if status == "done" else None,
        "seconds": round(session.seconds, 2),
        "device": session.fingerprint,
        "peak_memory": numerics.peak_memory(session.device),
        "resumes": session.resumes,
        "inexact_resumes": session.inexact_resumes,
        "data": {split: facts.sha256 for split, facts in session.manifest.splits.items()},
        "data_verified": session.manifest.verified,
        "teacher": {"id": run.teacher, "key": run.teacher_key} if run.teacher else None,
        "sha256": digests,
    } | ({"exchange": part.exchange} if part.exchange else {})


def best_epochs(history: list[Epoch]) -> dict[str, dict[str, int]]:
    """For every row the epoch with most correct answers on the test set, chosen by looking at that set: optimistic."""
    best: dict[str, dict[str, int]] = {}
    for row in history:
        for name, count in row.test_correct.items():
            if name not in best or count > best[name]["correct"]:
                best[name] = {"epoch": row.epoch, "correct": count}
    return best


def publish(session: Session, places: Places, *, status: str, predictions: Predictions, reason: Any, may_write: Callable[[], None]) -> str:
    """Make the five files and publish them; return how the run ended. Raises Stopped where the lock is lost or the plan has changed."""
    part = session.processes.collect(Part(row_names(session), weights_of(session), predictions, session.history, reason))
    if part is None:
        return status
    status, reason = ("diverged", part.diverged) if part.diverged else (status, reason)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **part.predictions.arrays())  # type: ignore[arg-type]
    contents = {
        "spec.json": session.run.to_json().encode(),
        "weights.safetensors": to_safetensors(part.weights),
        "predictions.npz": arrays.getvalue(),
        "history.csv": history_csv(part).encode(),
    }
    publish_files(places, contents, lambda digests: record_of(session, status, part, digests, reason), may_write=may_write)
    return status
