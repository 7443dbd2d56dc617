"""What `okd` means in these tests: the real command line, with a trainer that keeps the real one's contract and takes no time.

Environment: STUB_TRAINER=real trains in earnest; STUB_STEPS and STUB_STEP_S say how long a training takes, STUB_UNTIL
names a file that the last step waits for; STUB_FAIL is a word in the ids of runs that fail; STUB_KILL=n kills the process before its n-th
change of a file while it publishes.
"""

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from okd.data.datasets import read_arrays
from okd.plan import catalog
from okd.plan.run import Run
from okd.plan.settings import find_root
from okd.plan.store import Places, read_json, write_json
from okd.training import publish
from okd.training.progress import Progress
from okd.training.stop import Stop, Stopped

CLASSES, IMAGES = 10, 20
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")


def main() -> None:
    from okd.cli import main as okd

    root = find_root()
    catalog.files = lambda package: root / "src" / package  # type: ignore[assignment]  # this checkout's catalog, not the installed one
    publish.publish_files = _logged(publish.publish_files)
    if os.environ.get("STUB_TRAINER") != "real":
        sys.modules["okd.training.train"] = _module(train=train)
        sys.modules["okd.training.numerics"] = _module(prepare_environment=lambda: None)
    okd()


def _module(**content: Any) -> ModuleType:
    module = ModuleType("stub")
    vars(module).update(content)
    return module


def train(run: Run, root: Path, *, stop: Stop, may_write: Callable[[], None]) -> str:
    """Check data and teacher, take some steps, resume, stop, fail and publish as the real trainer does."""
    places = Places(root, run)
    read_arrays(run.dataset.name, root)
    if run.teacher and not (places.results / run.teacher / str(run.teacher_key) / "weights.safetensors").is_file():
        raise ValueError(f"{run.id}: its teacher {run.teacher} has not been trained")
    steps, each = int(os.environ.get("STUB_STEPS", "1")), float(os.environ.get("STUB_STEP_S", "0"))
    resume = read_json(places.scratch / "resume.json")
    step = resume["step"] if resume else 0
    progress = Progress(run.id, steps, places.progress, done_before=step / steps)
    while step < steps:
        if word := os.environ.get("STUB_FAIL"):
            _fail_if(word in run.id)
        time.sleep(each)
        if step + 1 < steps or _may_end():
            step += 1
        progress.step(step / steps, step)
        if stop.wanted:
            may_write()
            write_json(places.scratch / "resume.json", {"step": step})
            raise Stopped(f"{run.id}: stopped ({stop.reason}) after {step} of {steps} steps; saved")
    publish.publish_files(places, contents(run), lambda digests: record(run, digests, resumes=int(resume is not None)), may_write=may_write)
    return "done"


def _may_end() -> bool:
    file = os.environ.get("STUB_UNTIL")
    return file is None or Path(file).exists()


def _fail_if(wanted: bool) -> None:
    if wanted:
        raise RuntimeError("out of memory, as the test wished")


def contents(run: Run) -> dict[str, bytes]:
    """Four files. No two trainings give the same weights, as on a GPU; the numbers depend on nothing but the key."""
    random = np.random.default_rng(int(run.key, 16))
    arrays: dict[str, np.ndarray] = {"labels": np.arange(IMAGES, dtype=np.int16) % CLASSES}
    for row in rows(run):
        logits = random.normal(size=(IMAGES, CLASSES))
        arrays[row] = logits.astype(np.float16)
        arrays[f"{row}_top5"] = np.argsort(-logits, axis=1)[:, :5].astype(np.int16)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return {
        "spec.json": run.to_json().encode(),
        "weights.safetensors": os.urandom(64),
        "predictions.npz": packed.getvalue(),
        "history.csv": b"epoch\n",
    }


def rows(run: Run) -> list[str]:
    students = [f"student_{m}" for m in range(int(run.method.options["students"]))]
    return [*students[:-1], "leader"] if run.method.leader else students


def record(run: Run, digests: dict[str, str], *, resumes: int = 0) -> dict[str, Any]:
    correct = dict.fromkeys(rows(run), IMAGES // 2)
    return {
        "id": run.id,
        "key": run.key,
        "status": "done",
        "diverged": None,
        "epochs": run.recipe.epochs,
        "test_images": IMAGES,
        "test_correct": correct,
        "best_epoch": {row: {"epoch": 0, "correct": count} for row, count in correct.items()},
        "seconds": 0.01,
        "device": "a stub",
        "resumes": resumes,
        "inexact_resumes": 0,
        "data": {"train": sha256(b"train").hexdigest(), "test": sha256(b"test").hexdigest()},
        "data_verified": True,
        "teacher": {"id": run.teacher, "key": run.teacher_key} if run.teacher else None,
        "sha256": digests,
    }


def _logged(publish_files: Callable[..., None]) -> Callable[..., None]:
    """Say in logs/trained.log what was published, and die on the way where the test asks for it."""

    def logged(places: Places, *others: Any, **named: Any) -> None:
        if kill := os.environ.get("STUB_KILL"):
            _die_before(int(kill))
        publish_files(places, *others, **named)
        log_file = places.root / "logs" / "trained.log"
        log_file.parent.mkdir(exist_ok=True)
        with log_file.open("a") as log:
            log.write(f"{places.run.id}\n")

    return logged


def _die_before(number: int) -> None:
    left = [number]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    main()
