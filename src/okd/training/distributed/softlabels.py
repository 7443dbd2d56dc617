"""What a student says in a round: its soft labels of every training image and how many it got right. Nothing is believed unchecked."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from okd.data.arrays import DataError

SUMS_WITHIN = 1e-4  # of 1, for every row


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What stands beside an array; `student` is None for the mixture that goes back to all."""

    key: str  # of the run
    round: int
    student: int | None
    images: int
    classes: int
    temperature: float
    correct: int | None  # of its answers to these images
    weights: str | None  # SHA-256 of the student that answered
    sources: list[str]  # of a mixture: the SHA-256 of what it was made of, in order of the students
    sha256: str  # of the array's file

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=1, allow_nan=False) + "\n").encode()

    @staticmethod
    def from_json(raw: bytes, name: str) -> "Manifest":
        """Raises DataError."""
        try:
            return Manifest(**json.loads(raw))
        except (ValueError, TypeError) as error:
            raise DataError(f"{name} is not a manifest of soft labels ({type(error).__name__})") from None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a round of a run must look like."""

    key: str
    round: int
    images: int
    classes: int
    temperature: float


@dataclass(frozen=True, kw_only=True)
class SoftLabels:
    manifest: Manifest
    rows: np.ndarray  # (N, K) fp32

    @staticmethod
    def of(rows: np.ndarray, wanted: Wanted, *, student: int | None, sources: Sequence[str] = (), **facts: Any) -> "SoftLabels":
        facts = {"correct": None, "weights": None} | facts
        digest = hashlib.sha256(to_npy(rows)).hexdigest()
        return SoftLabels(manifest=Manifest(**asdict(wanted), student=student, sources=list(sources), sha256=digest, **facts), rows=rows)

    @staticmethod
    def checked(raw: bytes, manifest: Manifest, wanted: Wanted, *, student: int | None, name: str) -> "SoftLabels":
        """Raises DataError with the file and what is wrong with it."""
        for field, expected in (asdict(wanted) | {"student": student}).items():
            if (found := getattr(manifest, field)) != expected:
                raise DataError(f"{name}: its manifest says {field} {found}, not {expected}")
        if student is not None and not (type(manifest.correct) is int and 0 <= manifest.correct <= wanted.images):
            raise DataError(f"{name}: its manifest says {manifest.correct} of {wanted.images} answers were right")
        if hashlib.sha256(raw).hexdigest() != manifest.sha256:
            raise DataError(f"{name}: {len(raw)} bytes that are not those of its manifest (SHA-256 differs)")
        return SoftLabels(manifest=manifest, rows=from_npy(raw, wanted, name))


def to_npy(rows: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(rows, dtype=np.float32), allow_pickle=False)
    return stream.getvalue()


def from_npy(raw: bytes, wanted: Wanted, name: str) -> np.ndarray:
    """Raises DataError where it is not one probability for every image and class."""
    try:
        rows = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{name} is not an array ({str(error).splitlines()[0][:80]})") from None
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32:
        raise DataError(f"{name} is not fp32 ({getattr(rows, 'dtype', type(rows).__name__)})")
    require_probabilities(rows, wanted, name)
    return rows


def require_probabilities(rows: np.ndarray, wanted: Wanted, name: str) -> None:
    if rows.shape != (wanted.images, wanted.classes):
        raise DataError(f"{name} has shape {rows.shape}, not {(wanted.images, wanted.classes)}")
    if not np.isfinite(rows).all():
        raise DataError(f"{name} holds numbers that are not finite")
    if (rows < 0).any() or np.abs(rows.sum(axis=1, dtype=np.float64) - 1).max(initial=0.0) > SUMS_WITHIN:
        raise DataError(f"{name} has rows that are no probabilities (they must sum to 1 within {SUMS_WITHIN:g})")
