"""Sessions of every method on a few made images, under any numerics."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from okd.data.arrays import Split
from okd.data.feed import Data
from okd.networks import build
from okd.plan.catalog import Value, catalog
from okd.plan.run import Run
from okd.training.bench import CLASSES, bench_run
from okd.training.session import Made, Session

BATCH, FULL, SHORT = 16, 4, 5  # images a batch, full batches an epoch, images of the last one
LENGTHS = {"ramp_up": 2, "t_in": 1, "t_d": 2, "held_out": CLASSES}

CASES: dict[str, tuple[str, dict[str, Value]]] = {name: (name, {}) for name, entry in catalog().methods.items() if entry.built}
CASES |= {
    "okddip network": ("okddip", {"setting": "network", "students": 3}),
    "okddip random": ("okddip", {"attention": "random"}),
    "kdcl-linear 3": ("kdcl-linear", {"students": 3}),
}


def run_of(case: str, numerics: str, *, network: str = "resnet8", seed: int = 0, epochs: int = 4, lr: float = 0.005) -> Run:
    name, options = CASES[case]
    known = catalog().methods[name].options
    run = bench_run(name, [network], numerics, options | {key: value for key, value in LENGTHS.items() if key in known})
    rate = {"cycles": [lr, 2]} if name == "snapshot" else {"multistep": [lr, 3]}
    return replace(run, seed=seed, recipe=replace(run.recipe, epochs=epochs, batch_size=BATCH, lr=rate))


def made(run: Run, device: torch.device) -> Made:
    """Noise around a level for each class, so that there is something to learn."""
    held_out = int(run.method.options.get("held_out", 0))
    count = FULL * BATCH + SHORT + held_out
    random, labels = np.random.default_rng(0), (np.arange(count) % CLASSES).astype(np.int16)
    images = (random.integers(0, 150, (count, 3, 16, 16)) + labels[:, None, None, None]).astype(np.uint8)
    data = Data(
        {"train": Split(images, labels), "test": Split(images[:20], labels[:20])},
        run.recipe,
        seed=run.seed,
        device=device,
        num_held_out=held_out,
    )
    return Made(data, build(run.networks[0].name, CLASSES, seed=9) if catalog().methods[run.method.name].taught else None)


def session_of(run: Run, device: torch.device) -> Session:
    return Session(run, Path(), device, made=made(run, device))  # seeds torch's generator: one session at a time


def losses(session: Session, epochs: int) -> Iterator[Tensor]:
    """The means of each epoch's loss terms."""
    from okd.training.predict import evaluate, show

    for _ in range(epochs):
        for batch in session.start_epoch():
            session.take_step(batch)
        show(session)
        session.end_epoch(*evaluate(session))
        last = session.history[-1]
        yield torch.tensor([last.loss_hard, last.loss_soft, last.loss_own, last.loss_total], dtype=torch.float64)
