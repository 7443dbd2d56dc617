"""A project whose runs take a fraction of a second: every method of the catalog on forty images of 8x8 pixels."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import make_project, plan
from okd.data.arrays import Manifest, manifest_file
from okd.data.feed import Split
from okd.plan.run import Run
from okd.plan.store import Places, read_json, write_json
from okd.training import checkpoint

EPOCHS, STEPS, IMAGES, TESTED, CLASSES = 4, 5, 40, 20, 10  # STEPS an epoch; the last batch of each is short

PAPER = """\
title: Every method, very small
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 4, batch_size: 9, lr: {multistep: [0.1, 2]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
seeds: 1
tables:
  - id: tiny-t1
    title: Error
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet-8: {}
    columns:
      Baseline: {method: baseline}
      Ind: {method: ind, students: 2}
      KD: {method: kd, teacher: {network: resnet8, method: baseline}}
      DML: {method: dml}
      CL-ILR: {method: cl-ilr, students: 2, ramp_up: 2}
      CLNN: {method: clnn, ramp_up: 2}
      ONE: {method: one, students: 2, ramp_up: 2}
      ONE separate: {method: one, students: 2, ramp_up: 2, setting: network}
      OKDDip: {method: okddip, students: 3, ramp_up: 2, statistic: leader}
      OKDDip separate: {method: okddip, students: 3, ramp_up: 2, setting: network, statistic: leader}
      OKDDip at random: {method: okddip, students: 3, ramp_up: 2, attention: random, statistic: leader}
      Snapshot: {method: snapshot, recipe: {lr: {cycles: [0.1, 2]}}}
      Naive: {method: kdcl-naive}
      Linear: {method: kdcl-linear}
      MinLogit: {method: kdcl-minlogit}
      General: {method: kdcl-general, held_out: 10}
      EC-DNN: {method: ec-dnn, t_in: 1, t_d: 1}
      MD: {method: md, t_in: 1, t_d: 1}
      MD fixed: {method: md-fixed, t_in: 1, t_d: 1}
      MD naive: {method: md, t_in: 1, t_d: 1, kl: naive}
  - id: tiny-t2
    title: With dropout
    cell: {dataset: digits, network: vgg-tiny, statistic: student, recipe: {dropout: 0.5}}
    rows:
      VGG: {}
    columns:
      Baseline: {method: baseline}
      DML: {method: dml}
  - id: tiny-t3
    title: Students of two families
    cell: {dataset: digits, networks: [resnet8, wrn-tiny], statistic: student}
    rows:
      Both: {}
    columns:
      MD: {method: md, t_in: 1, t_d: 1, student: 0}
"""


def arrays(size: int) -> dict[str, Split]:
    """Noise around a level for each class."""
    draw = np.random.Generator(np.random.PCG64(0))

    def split(count: int) -> Split:
        labels = (np.arange(count) % CLASSES).astype(np.int16)
        noise = draw.integers(0, 100, size=(count, 3, size, size))
        return Split((noise + 15 * labels[:, None, None, None]).astype(np.uint8), labels)

    return {"train": split(IMAGES), "test": split(TESTED)}


def reader_for(run: Run) -> Callable[[str, Path], tuple[Manifest, dict[str, Split]]]:
    """What reads a data set in these tests: images of 8x8 pixels, for VGG's many poolings of 16x16."""
    size = 16 if "vgg" in run.id else 8
    return lambda name, root: (Manifest.read(manifest_file(root, name)), arrays(size))


@dataclass(frozen=True)
class Trial:
    """One run in a project folder of its own."""

    root: Path
    run: Run

    @property
    def places(self) -> Places:
        return Places(self.root, self.run)

    @property
    def scratch(self) -> Path:
        return self.places.scratch

    @property
    def result(self) -> dict[str, Any]:
        record = read_json(self.places.result / "result.json")
        assert record is not None, "no result"
        return record

    def plan(self) -> None:
        """Let the plan say that this is the run of its id."""
        (self.root / "plan" / "runs" / f"{self.run.id}.json").write_text(self.run.to_json())
        index = read_json(self.root / "plan" / "index.json")
        assert index is not None
        index["run_index"][self.run.id]["key"] = self.run.key
        write_json(self.root / "plan" / "index.json", index)

    def fresh(self) -> "Trial":
        """The same run with nothing done yet."""
        self.plan()
        for folder in (self.scratch.parent, self.places.folder):
            shutil.rmtree(folder, ignore_errors=True)
        return self

    def bits(self) -> str:
        """SHA-256 of all that must not depend on how often the run was stopped: the last state, and what was published."""
        state = checkpoint.load(self.scratch, key=self.run.key)
        assert state is not None
        history = [{name: value for name, value in row.items() if name != "seconds"} for row in state["history"]]
        kept = {name: state[name] for name in STATE} | {"history": history}
        with np.load(self.places.result / "predictions.npz") as predictions:
            logits = {name: torch.from_numpy(predictions[name].copy()) for name in predictions.files}
        weights = (self.places.result / "weights.safetensors").read_bytes()
        lines = [line for line in self.history() if line]
        return checkpoint.digest([kept, logits, torch.frombuffer(bytearray(weights), dtype=torch.uint8), lines])

    def history(self) -> list[str]:
        """history.csv without its seconds."""
        header, *lines = (self.places.result / "history.csv").read_text().splitlines()
        place = header.split(",").index("seconds")
        return [",".join(value for index, value in enumerate(line.split(",")) if index != place) for line in lines]

    def temporaries(self) -> list[str]:
        return [str(file) for folder in ("scratch", "results") for file in (self.root / folder).rglob(".*.tmp")]


STATE = ("group", "teacher", "optimizer", "totals", "alarm", "random", "snapshots", "epoch", "step")


def make_tiny(folder: Path) -> tuple[Path, dict[str, Run]]:
    with pytest.MonkeyPatch.context() as patch:
        make_project(folder, patch, paper=PAPER)
        return folder, plan(folder)


def name_of(run: Run) -> str:
    """A run's name in these tests: its id without what all share."""
    return run.id.removeprefix("tiny-digits-").removesuffix("-s0")
