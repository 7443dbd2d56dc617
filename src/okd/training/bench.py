"""What a step costs: real training on made images of CIFAR's shape, in its steady state."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from okd.data.arrays import Split
from okd.data.batch import Batch
from okd.data.feed import Data, evaluation_batch
from okd.networks import build
from okd.plan.catalog import catalog
from okd.plan.price import training_operations
from okd.plan.run import Named, Run, RunMethod, RunRecipe
from okd.training import numerics
from okd.training.predict import evaluate
from okd.training.session import Made, Session

CLASSES, EPOCHS, BATCH = 100, 300, 128
RATE = 0.01  # labels of noise: a larger one diverges
WARM_UP_STEPS = {"cpu": 1, "cuda": 5}  # buffers made; kernels chosen, a graph captured


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Sums over the measured windows. `images` went through training; `wall_s` and `cpu_s` are of that alone."""

    method: str
    networks: str
    numerics: str
    device: str
    threads: int
    images: int
    wall_s: float
    cpu_s: float
    flops: float  # 2 x multiply-adds of forward and backward, counted
    evaluation_images: int
    evaluation_s: float
    peak_memory: int  # bytes: on a GPU of this training's steps alone, on a CPU of the process so far, with all that it measured
    rounds: list[tuple[float, float]] = field(default_factory=list)  # wall and CPU seconds of each window

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def epoch_s(self, train: int = 50_000, test: int = 10_000) -> float:
        """Wall seconds of an epoch with its evaluation, by the median window."""
        window = self.images / len(self.rounds)
        evaluation = self.evaluation_s / self.evaluation_images * test if self.evaluation_images else 0.0
        return median(wall for wall, _ in self.rounds) / window * train + evaluation


def bench_run(name: str, networks: list[str], how: str, options: Mapping[str, Any]) -> Run:
    """OKDDip's CIFAR recipe for a method of the catalog; a single network is as many copies as the method has students."""
    entry = catalog().methods[name]
    resolved = entry.resolve(options)
    kind = entry.group_kind(resolved)
    names = networks * int(resolved["students"]) if kind == "networks" and len(networks) == 1 else networks
    if kind == "networks":
        resolved |= {"students": len(names)}
    cifar = catalog().datasets["cifar100"]
    assert cifar.normalisation and cifar.augmentation
    return Run(
        id="bench",
        scale="paper",
        dataset=Named(name="cifar100", revision=int(cifar.revision or 0)),
        classes=CLASSES,
        networks=tuple(Named(name=network, revision=1) for network in names),
        method=RunMethod(name=name, revision=int(entry.revision or 0), group=kind, leader=entry.has_leader(resolved), options=resolved),
        recipe=RunRecipe(
            epochs=EPOCHS,
            batch_size=BATCH,
            lr={"cycles": [RATE, 6]} if name == "snapshot" else {"multistep": [RATE, 150, 225]},
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            normalisation=cifar.normalisation.model_dump(),
            augmentation=cifar.augmentation.model_dump(),
        ),
        numerics=Named(name=how, revision=1),
        training=1,
        seed=0,
    )


class Bench:
    """One session that is measured window by window, so that several can take turns."""

    def __init__(self, run: Run, device: torch.device, *, train: int, test: int, threads: int = 1) -> None:
        self.run, self.device, self.threads = run, device, threads
        entry = catalog().methods[run.method.name]
        taught_by = build(run.networks[0].name, CLASSES, seed=1) if entry.taught else None
        held_out = int(run.method.options.get("held_out", 0))
        splits = {"train": _images(train + held_out, 0), "test": _images(test, 1)}
        others = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.held_out = held_out
        images_at_once = evaluation_batch(run, device)
        data = Data(splits, run.recipe, seed=0, device=device, num_held_out=held_out, evaluation_batch=images_at_once)
        self.session = Session(run, Path(), device, made=Made(data, taught_by))
        self.session.epoch = next(epoch for epoch in reversed(range(EPOCHS)) if self._teaches(epoch))
        self.batches = self._full_batches()
        self.windows: list[tuple[float, float]] = []
        self.images = self.evaluated = 0
        self.evaluation_s = 0.0
        self._ready()
        for _ in range(WARM_UP_STEPS[device.type]):
            self.session.take_step(next(self.batches))
        self.peak_memory = numerics.peak_memory(device) - others

    def _teaches(self, epoch: int) -> bool:
        """Whether the epoch is of the dearer kind: with distillation, where the method has any."""
        soft = self.session.method.soft
        return soft(epoch) != 0 or all(soft(other) == 0 for other in range(EPOCHS))

    def _full_batches(self) -> Iterator[Batch]:
        while True:
            for batch in self.session.start_epoch():
                if len(batch.labels) == BATCH:
                    yield batch
            self.session.step = 0

    def _ready(self) -> None:
        numerics.apply(self.session.numerics)  # another session of this process may have set its own
        torch.set_num_threads(self.threads)
        self.session.group.train()
        self.session.teacher.train()

    def window(self, steps: int) -> None:
        """Train for so many steps and add up what they took."""
        self._ready()
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            self.session.take_step(next(self.batches))
        self._wait()
        self.windows.append((time.perf_counter() - wall, time.process_time() - cpu))
        self.images += steps * BATCH
        assert self.session.alarm.read() is None, f"{self.run.method.name} diverged in a bench"

    def evaluate(self) -> None:
        self._ready()
        self._wait()
        start = time.perf_counter()
        _, images = evaluate(self.session)
        self.evaluation_s += time.perf_counter() - start
        self.evaluated += images

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def measured(self) -> Measured:
        walls, cpus = zip(*self.windows, strict=True)
        return Measured(
            method=self.run.method.name,
            networks=",".join(network.name for network in self.run.networks),
            numerics=self.run.numerics.name,
            device=self.session.fingerprint,
            threads=self.threads,
            images=self.images,
            wall_s=round(sum(walls), 4),
            cpu_s=round(sum(cpus), 4),
            flops=training_operations(self.run, self.images),
            evaluation_images=self.evaluated,
            evaluation_s=round(self.evaluation_s, 4),
            peak_memory=self.peak_memory,
            rounds=[(round(wall, 4), round(cpu, 4)) for wall, cpu in self.windows],
        )


def _images(count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, size=(count, 3, 32, 32), dtype=np.uint8)
    return Split(images, (np.arange(count) % CLASSES).astype(np.int16))


def in_turns(runs: list[Run], device: torch.device, *, steps: int, rounds: int, train: int, test: int, threads: int) -> list[Measured]:
    """Measure several runs in one process, window by window in turn, so that a busy machine is busy for all of them."""
    benches = [Bench(run, device, train=train, test=test, threads=threads) for run in runs]
    for _ in range(rounds):
        for bench in benches:
            bench.window(steps)
    for bench in benches:
        if device.type == "cuda":  # once to choose its kernels
            bench.evaluate()
            bench.evaluation_s, bench.evaluated = 0.0, 0
        bench.evaluate()
    return [bench.measured() for bench in benches]


def under(run: Run, how: str) -> Run:
    """The same run with other numerics."""
    return replace(run, numerics=Named(name=how, revision=1))
