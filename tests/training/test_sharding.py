"""A batch shared out over processes gives the same gradients, weights, lessons and counts as one process with all of it."""

import copy
import os
import shutil
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from together import Together
from torch import nn

from conftest import make_project, plan
from okd.data.datasets import fetch, read_arrays
from okd.data.feed import Split
from okd.networks import NETWORKS
from okd.networks.alexnet import alexnet
from okd.plan.run import Run
from okd.plan.store import Places, read_json
from okd.training.distributed.batchnorm import SyncBatchNorm, synchronise
from okd.training.distributed.collective import join
from okd.training.distributed.place import Place
from okd.training.distributed.sharding import Sharded
from okd.training.lease import Lease, WholeDevices
from okd.training.predict import predict, show
from okd.training.processes import ALONE, Alone
from okd.training.session import Session
from okd.training.stop import Stop, Stopped
from okd.training.train import train

CPU = torch.device("cpu")
PAPER = """\
title: Shared out
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 26, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
seeds: 1
tables:
  - id: tiny-t1
    title: Error on the digits
    cell: {dataset: digits, statistic: student}
    rows:
      free: {network: alexnet-tiny, recipe: {lr: {multistep: [0.01, 1]}}}
      norm: {network: resnet8}
    columns:
      Baseline: {method: baseline}
      DML: {method: dml}
      KD: {method: kd, teacher: {network: resnet8, method: baseline}}
      CL-ILR: {method: cl-ilr, ramp_up: 1}
      ONE: {method: one, ramp_up: 1}
      OKDDip: {method: okddip, students: 3, ramp_up: 1}
      Naive: {method: kdcl-naive}
      Linear: {method: kdcl-linear, students: 3}
      MinLogit: {method: kdcl-minlogit}
      General: {method: kdcl-general, held_out: 20}
      MD: {method: md, t_in: 1, t_d: 1}
"""
IMAGES = 80  # three batches of 26, and one of 2 images
EVERY_TEACHER = ["dml", "kd", "cl-ilr", "one", "okddip", "kdcl-naive", "kdcl-linear", "kdcl-minlogit", "kdcl-general", "md"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_project(tmp_path, monkeypatch, paper=PAPER)
    fetch("digits", folder)

    def few_arrays(name: str, root: Path):
        manifest, splits = read_arrays(name, root)
        return manifest, {part: Split(split.images[:IMAGES], split.labels[:IMAGES]) for part, split in splits.items()}

    monkeypatch.setattr("okd.data.feed.read_arrays", few_arrays)
    # The published AlexNet has no BatchNorm, its small sibling has.
    monkeypatch.setitem(NETWORKS, "alexnet-tiny", partial(alexnet, channels=(16, 32, 64, 48, 48), kernel=5, stride=2))  # type: ignore[arg-type]
    torch.set_num_threads(1)
    return folder


def run_of(project: Path, method: str, network: str) -> Run:
    runs = [run for run in plan(project).values() if run.method.name == method and run.networks[0].name == network]
    return min(runs, key=lambda run: run.id)


def sharded() -> Sharded:
    join(Stop())
    return Sharded(Place.here())


def taught(project: Path, run: Run) -> None:
    """Its teacher's result, where it has one."""
    if run.teacher:
        teacher = run_of(project, "baseline", "resnet8")
        assert train(teacher, project, stop=Stop(), may_write=lambda: None, device=CPU) == "done"


def what_happens(run: Run, project: Path, processes: Alone, dtype: torch.dtype) -> dict[str, Any]:
    """Gradients and weights of the first step, then everything after an epoch of steps, `remember` and predictions."""
    session = Session(run, project, CPU, processes)
    for module in (session.group, session.teacher):
        module.to(dtype)
    session.group.register_forward_pre_hook(lambda _, given: given[0].to(dtype))
    session.teacher.register_forward_pre_hook(lambda _, given: (given[0]._replace(images=given[0].images.to(dtype)), given[1]))
    seen: dict[str, Any] = {}
    for number, batch in enumerate(session.start_epoch()):
        session.take_step(batch)
        if number == 0:
            seen["gradients"] = [p.grad.clone() for p in session.optimizer.parameters() if p.grad is not None]
            seen["updated"] = [p.detach().clone() for p in session.optimizer.parameters()]
            if dtype == torch.float32:
                return seen
    processes.after_steps(session.group, session.teacher)
    remembered: list[Any] = []
    plain = session.teacher.remember
    session.teacher.remember = lambda index, logits, labels: (remembered.append([index, labels]), plain(index, logits, labels))  # type: ignore[method-assign]
    show(session)
    answers = predict(session)
    session.end_epoch(answers.correct(), len(answers.labels))
    (row,) = session.history
    return seen | {
        "group": dict(session.group.state_dict()),
        "teacher": {name: value for name, value in session.teacher.state_dict().items() if not name.startswith("network.")},
        "answers": {name: torch.from_numpy(rows) for name, rows in answers.rows.items()},
        "labels": torch.from_numpy(answers.labels),
        "remembered": remembered,
        "losses": [row.loss_hard, row.loss_soft, row.loss_own, row.loss_total],
        "counts": [row.train_images, row.train_correct, row.test_images],
    }


def difference(first: Any, second: Any) -> float:
    """The largest absolute difference between two nested values of the same shape."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        return max((difference(first[name], second[name]) for name in first), default=0.0)
    if isinstance(first, list | tuple):
        assert len(first) == len(second)
        return max((difference(one, other) for one, other in zip(first, second, strict=True)), default=0.0)
    if isinstance(first, torch.Tensor):
        assert first.shape == second.shape
        return float((first.double() - second.double()).abs().max()) if first.numel() else 0.0
    return float(abs(first - second))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("method", EVERY_TEACHER)
@pytest.mark.parametrize(("network", "bound"), [("alexnet-tiny", 1e-6), ("resnet8", 1e-5)])
def test_one_step_shared_out_equals_one_process(
    project: Path, tmp_path: Path, record_property: Any, network: str, bound: float, method: str, count: int
) -> None:
    """Gradients and updated weights in fp32, shares of 8, 9 and 9 images."""
    run = run_of(project, method, network)
    taught(project, run)
    whole = what_happens(run, project, ALONE, torch.float32)
    parts = Together(tmp_path / "said").start(count, lambda rank: what_happens(run, project, sharded(), torch.float32)).wait().results()
    gaps = {name: max(difference(whole[name], part[name]) for part in parts) for name in whole}
    record_property("gap", f"{network} {method} {count}: {gaps}")
    print(network, method, count, gaps)
    assert gaps["gradients"] < bound
    assert gaps["updated"] < bound


QUICK = ("one", "kdcl-general")


@pytest.mark.parametrize(
    ("method", "count"),
    [pytest.param(name, n, marks=[] if n == 3 and name in QUICK else pytest.mark.slow) for name in EVERY_TEACHER for n in (2, 3)],
)
def test_an_epoch_shared_out_equals_one_process(project: Path, tmp_path: Path, method: str, count: int) -> None:
    """In fp64, since in fp32 rounding grows from step to step. The last batch has two images, of which a third process sees none."""
    run = run_of(project, method, "resnet8")
    taught(project, run)
    whole = what_happens(run, project, ALONE, torch.float64)
    parts = Together(tmp_path / "said").start(count, lambda rank: what_happens(run, project, sharded(), torch.float64)).wait().results()
    gaps = {name: max(difference(whole[name], part[name]) for part in parts) for name in whole}
    print(method, count, gaps)
    assert gaps.pop("answers") < 1e-5, "kept in fp32"
    assert max(gaps.values()) < 1e-8
    assert gaps["counts"] == gaps["labels"] == gaps["remembered"] == 0
    for index, _ in whole["remembered"]:
        assert len(set(index.tolist())) == len(index)


def test_without_synchronised_batchnorm_each_process_has_its_own(project: Path, tmp_path: Path) -> None:
    """The negative control, and what the recipe's field says: neutral in the key when it is on, another run when it is off."""
    run = run_of(project, "kdcl-minlogit", "resnet8")
    assert "sync_batchnorm" not in run.spec["recipe"]
    apart = replace(run, recipe=replace(run.recipe, sync_batchnorm=False))
    assert apart.key != run.key
    assert Run.from_json(apart.to_json()) == apart
    whole = what_happens(run, project, ALONE, torch.float64)
    parts = Together(tmp_path / "said").start(2, lambda rank: what_happens(apart, project, sharded(), torch.float64)).wait().results()
    assert difference(whole["gradients"], parts[0]["gradients"]) > 1e-4
    assert difference(parts[0], parts[1]) == 0, "but they agree with each other, in buffers too"


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5, 5)])
def test_one_process_alone_sees_torchs_batchnorm(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Values, gradients and running statistics in fp64, against torch's own layer."""

    def body(rank: int) -> Any:
        join(Stop())
        torch.manual_seed(1)
        theirs = nn.Sequential(nn.BatchNorm1d(4) if len(shape) == 2 else nn.BatchNorm2d(4)).double()
        nn.init.uniform_(next(theirs.parameters()))
        ours = copy.deepcopy(theirs)
        synchronise(ours)
        assert isinstance(ours[0], SyncBatchNorm)
        gaps = []
        for _ in range(3):
            values = torch.randn(shape, dtype=torch.float64) * 3 + 1
            first, second = values.clone().requires_grad_(), values.clone().requires_grad_()
            weights = torch.randn(shape, dtype=torch.float64)
            one, other = theirs(first), ours(second)
            (one * weights).sum().backward()
            (other * weights).sum().backward()
            gaps.append(difference([one.detach(), first.grad], [other.detach(), second.grad]))
            gaps.append(difference([p.grad for p in theirs.parameters()], [p.grad for p in ours.parameters()]))
            gaps.append(difference(dict(theirs.state_dict()), dict(ours.state_dict())))
        return torch.tensor(max(gaps))

    (gap,) = Together(tmp_path / "said").start(1, body).wait().results()
    assert gap < 1e-12


def finish(run: Run, project: Path, processes: Alone, stop: Stop | None = None) -> str:
    return train(run, project, stop=stop or Stop(), may_write=lambda: None, device=CPU, processes=processes)


class StopsAfter(Stop):
    """As if a signal had come after so many steps."""

    def __init__(self, steps: int) -> None:
        self.reason, self.left = "SIGTERM", steps

    @property
    def wanted(self) -> bool:
        self.left -= 1
        return self.left < 0


def published(run: Run, project: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    folder = Places(project, run).result
    return load_file(folder / "weights.safetensors"), read_json(folder / "result.json") or {}


def restart(project: Path, run: Run) -> None:
    for folder in (Places(project, run).folder, Places(project, run).scratch):
        shutil.rmtree(folder, ignore_errors=True)


def test_stopped_and_resumed_by_as_many_processes_is_the_same_to_the_bit(project: Path, tmp_path: Path) -> None:
    """One of them gets a signal; all save and stop at the same step."""
    run = run_of(project, "md", "resnet8")
    Together(tmp_path / "whole").start(2, lambda rank: finish(run, project, sharded())).wait().results()
    whole, _ = published(run, project)
    restart(project, run)
    stopped = Together(tmp_path / "stopped").start(2, lambda rank: finish(run, project, sharded(), StopsAfter(5) if rank else Stop()))
    assert stopped.wait().codes == {0: 75, 1: 75}
    assert {words for words in stopped.words.values() if "after 5 of 8 steps" in words} == set(stopped.words.values())
    Together(tmp_path / "again").start(2, lambda rank: finish(run, project, sharded())).wait().results()
    weights, record = published(run, project)
    assert difference(whole, weights) == 0
    assert (record["resumes"], record["inexact_resumes"]) == (1, 0)
    assert record["device"].endswith(", 2 processes")


def test_another_number_of_processes_goes_on(project: Path, tmp_path: Path) -> None:
    """One, then three, then two: the same spec, key and checkpoint; counted as inexact."""
    run = run_of(project, "kdcl-general", "alexnet-tiny")
    assert finish(run, project, ALONE) == "done"
    whole, _ = published(run, project)
    restart(project, run)
    with pytest.raises(Stopped):
        finish(run, project, ALONE, StopsAfter(1))
    middle = Together(tmp_path / "three").start(3, lambda rank: finish(run, project, sharded(), StopsAfter(2)))
    assert set(middle.wait().codes.values()) == {75}
    Together(tmp_path / "two").start(2, lambda rank: finish(run, project, sharded())).wait().results()
    weights, record = published(run, project)
    assert difference(whole, weights) < 1e-5
    assert (record["resumes"], record["inexact_resumes"]) == (2, 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_stops_the_others(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Killed: the others end within five seconds. Stopped: when they have waited long enough. Both: the next start finishes the run."""
    run, marks = run_of(project, "one", "resnet8"), tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setattr("okd.training.train.SAVE_EVERY_S", 0.0)
    plain = Session.take_step

    def slowly(self: Session, batch: Any) -> None:
        time.sleep(0.1)
        plain(self, batch)
        (marks / f"{os.getpid()}-{self.position}").touch()

    monkeypatch.setattr(Session, "take_step", slowly)
    together = Together(tmp_path / "lost").start(3, lambda rank: finish(run, project, sharded()))
    while not list(marks.glob(f"{together.pids[1]}-3")):
        time.sleep(0.01)
    at = together.kill(1, number)
    together.wait(0, 2)
    took = max(together.ended[rank] for rank in (0, 2)) - at
    together.kill(1)
    together.wait(1)
    assert together.codes == {0: 75, 1: -9, 2: 75}
    assert "does not answer" in together.words[0]
    print(f"signal {number}: the others ended after {took:.2f} s")
    assert took < 5
    Together(tmp_path / "again").start(2, lambda rank: finish(run, project, sharded())).wait().results()
    assert published(run, project)[1]["resumes"] == 1


def test_all_diverge_together(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one process sees in its share, all call by the same step and term."""
    run, plain = run_of(project, "one", "resnet8"), Session.take_step

    def poisoned(self: Session, batch: Any) -> None:
        if self.position == 3 and self.processes.place.rank == 1:
            batch = batch._replace(images=batch.images * torch.inf)
        plain(self, batch)

    monkeypatch.setattr(Session, "take_step", poisoned)
    Together(tmp_path / "said").start(2, lambda rank: finish(run, project, sharded())).wait().results()
    assert published(run, project)[1]["diverged"] == {"step": 3, "term": "hard", "epoch": 0}


def test_a_large_run_takes_whole_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "OKD_DEVICES"):
        monkeypatch.setenv(name, "")
    small = Lease(tmp_path, ["0", "1", "2"], 2)
    assert small.acquire(Stop()) == "0"
    large, other = (WholeDevices(tmp_path, ["0", "1", "2"], 2, count) for count in (2, 1))
    large.acquire(Stop())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert not other._try(), "one slot of it is taken"
    assert Lease(tmp_path, ["1", "2"], 2)._try() is None
    large.release()
    assert other._try()
    for one in (small, other):
        one.release()
    with pytest.raises(ValueError, match="4 processes need 4 GPUs; here are 3"):
        WholeDevices(tmp_path, ["0", "1", "2"], 2, 4)
