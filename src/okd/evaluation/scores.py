"""What a run is worth, from its saved predictions: arithmetic on numpy arrays, no torch."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

Array = np.ndarray
COLLAPSED_WITHIN = 5.0  # points of chance
CALIBRATION_BINS = 15


class Predictions:
    """predictions.npz, read when needed: labels (N,), named rows of logits (N, K), their five best classes (N, 5)."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays
        self.labels = arrays["labels"].astype(np.int64)

    @staticmethod
    def read(file: Path) -> "Predictions":
        with np.load(file, allow_pickle=False) as archive:
            return Predictions({name: archive[name] for name in archive.files})

    @property
    def rows(self) -> list[str]:
        return [name for name in self.arrays if name != "labels" and not name.endswith("_top5")]

    @property
    def students(self) -> list[str]:
        """The rows that are averaged: students without the leader, in order."""
        return sorted((row for row in self.rows if row.startswith("student_")), key=_number)

    @property
    def members(self) -> list[str]:
        """What an ensemble is made of: kept snapshots where there are any, else the students without the leader."""
        return sorted((row for row in self.rows if row.startswith("snapshot_")), key=_number) or self.students

    def logits(self, row: str) -> Array:
        return self.arrays[row].astype(np.float64)

    def error(self, row: str, top: int = 1) -> float:
        """Percent of wrong answers, from integer counts of the classes that were best in fp32."""
        return percent_wrong(self.correct(row, top), len(self.labels))

    def correct(self, row: str, top: int = 1) -> int:
        if row not in self.arrays:
            raise ValueError(f"no row '{row}' in these predictions (rows: {', '.join(self.rows)})")
        return int((self.arrays[f"{row}_top5"][:, :top] == self.labels[:, None]).any(axis=1).sum())


def _chosen(one: Predictions, student: int | None) -> list[str]:
    """One student of a group, or all of them."""
    return one.students if student is None else [f"student_{student}"]


def _number(row: str) -> int:
    return int(row.rpartition("_")[2])


def percent_wrong(correct: int, total: int) -> float:
    return 100.0 * (total - correct) / total


def softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def ensemble_error(members: Sequence[Array], labels: Array, *, mix: str, top: int = 1) -> float:
    """Error of the mean of logits (N, K), or of probabilities, of several members."""
    mean = np.mean([softmax(logits) if mix == "probabilities" else logits for logits in members], axis=0)
    best = np.argsort(-mean, axis=1, kind="stable")[:, :top]
    return percent_wrong(int((best == labels[:, None]).any(axis=1).sum()), len(labels))


def disagreement(members: Sequence[Array]) -> float:
    """Mean over pairs and images of the L2 distance between softmax outputs (ONE's "model variance")."""
    probabilities = [softmax(logits) for logits in members]
    return float(np.mean([np.linalg.norm(a - b, axis=1).mean() for a, b in combinations(probabilities, 2)]))


def correlation(members: Sequence[Array]) -> float:
    """Mean over pairs of the Pearson correlation of all softmax outputs."""
    flat = [softmax(logits).ravel() for logits in members]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in combinations(flat, 2)]))


def calibration_error(logits: Array, labels: Array) -> float:
    """Expected calibration error in percent: confidence against accuracy in 15 equal bins, weighted by images [Guo et al. 2017]."""
    probabilities = softmax(logits)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return 100.0 * float(np.abs(gaps).sum()) / len(labels)


def statistic(name: str, replicate: Sequence[Predictions], *, mix: str, top: int, student: int | None = None) -> float:
    """One number of one replicate: of one run, or of several that are joined. Errors in percent.

    `student` is the row that counts alone, of a group of separate networks. Raises ValueError where the predictions have no such row.
    """
    first = replicate[0]
    match name:
        case "student":
            return float(np.mean([one.error(row, top) for one in replicate for row in _chosen(one, student)]))
        case "best_student":
            return min(one.error(row, top) for one in replicate for row in one.students)
        case "calibration":
            rows = [(one, row) for one in replicate for row in _chosen(one, student)]
            return float(np.mean([calibration_error(one.logits(row), one.labels) for one, row in rows]))
        case "leader" | "teacher":
            return float(np.mean([one.error(name, top) for one in replicate]))
        case _ if name.startswith("student_"):
            return first.error(name, top)
    members = [one.logits(row) for one in replicate for row in one.members]
    match name:
        case "ensemble":
            return ensemble_error(members, first.labels, mix=mix, top=top)
        case "disagreement" | "correlation":
            if len(members) < 2:
                raise ValueError(f"{name} needs at least two members")
            return disagreement(members) if name == "disagreement" else correlation(members)
        case "logit_max":
            return float(max(logits.max() for logits in members))
        case "logit_min":
            return float(min(logits.min() for logits in members))
        case "logit_variance":
            return float(np.mean([logits.var() for logits in members]))
    raise ValueError(f"unknown statistic '{name}'")


def collapsed(error: float, classes: int, top: int = 1) -> bool:
    """Whether a top-1 or top-5 error in percent is finite, but within a few points of guessing."""
    return error >= 100 * (1 - top / classes) - COLLAPSED_WITHIN
