"""A run whose every batch is shared out over processes, each on a device of its own; weights are the same in all of them.

The loss of a batch is a mean over its images, so a process weighs its own mean by its share of the images; the sum of the weighted
gradients over processes is the gradient of the whole batch, however uneven the shares. What looks at a whole batch (BatchNorm) sums over
processes; what looks at a whole data set (`remember`, predictions) gets everybody's rows in the order of the images.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from okd.data.batch import Batch
from okd.data.feed import Data
from okd.distillation.groups import Group
from okd.distillation.teachers.teacher import Teacher
from okd.plan.run import Run
from okd.training.checkpoint import NotFinite
from okd.training.distributed.batchnorm import synchronise
from okd.training.distributed.collective import after_first, from_first, rows_of_all, total
from okd.training.distributed.place import Place
from okd.training.processes import Alone, Gather
from okd.training.step import Totals


class Sharded(Alone):
    """One of several processes that torchrun has started, after `join`."""

    def __init__(self, place: Place) -> None:
        self.place, self.synchronised = place, True

    @property
    def words(self) -> str:
        return f", {self.place.count} processes"

    def data(self, whole: Any) -> Any:
        if isinstance(whole, Data):
            return ShardedData(whole, self._part)
        whole.part = self._part  # streamed images: what is not ours is never read
        whole.workers = max(1, whole.workers // self.place.local_count)
        return whole

    def _part(self, count: int) -> slice:
        """Which of a batch's images are ours: nearly equal numbers, one after the other."""
        return slice(count * self.place.rank // self.place.count, count * (self.place.rank + 1) // self.place.count)

    def prepare(self, group: Group, teacher: Teacher, run: Run) -> None:
        self.synchronised = run.recipe.sync_batchnorm
        if self.synchronised:
            synchronise(group)
            synchronise(teacher)

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """Each process draws for its own images. All agree on the generator in between, which is the one that is saved."""
        seed = int(torch.randint(2**62, ()))
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed + self.place.rank)
            yield

    def backward(self, terms: Tensor, parameters: Iterable[nn.Parameter], images: int) -> Tensor:
        share = images / float(total(torch.tensor([images], dtype=torch.float64)))
        (terms[-1] * share).backward()
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        mine = terms.detach() * share if images else torch.zeros_like(terms)  # the mean over no image is not a number
        flat = total(torch.cat([mine, *(gradient.reshape(-1) for gradient in gradients)]))
        terms, *parts = flat.split([len(mine), *(gradient.numel() for gradient in gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return terms

    def after_steps(self, group: Group, teacher: Teacher) -> None:
        if not self.synchronised:
            from_first([*group.buffers(), *teacher.buffers()])

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        return tuple(bool(count) for count in total(torch.tensor(wishes, dtype=torch.int32)))

    def sum(self, counts: Tensor) -> Tensor:
        return total(counts)

    def total(self, totals: Totals) -> Totals:
        whole = Totals(len(totals.correct), totals.loss.device)
        images = total(torch.tensor([totals.images], dtype=torch.int64))
        whole.load_state_dict({"loss": total(totals.loss.clone()), "correct": total(totals.correct.clone()), "images": int(images)})
        return whole

    def gather(self, index: Tensor) -> Gather:
        order = rows_of_all(index).argsort()
        return lambda rows: rows_of_all(rows)[order]

    def in_turn(self, load: Callable[[], Any]) -> Any:
        return after_first(load)

    def save(self, write: Callable[[], None]) -> None:
        problem: NotFinite | None = None
        if self.place.first:
            try:
                write()
            except NotFinite as found:
                problem = found
        if self.agree(problem is not None)[0]:
            raise problem or NotFinite("of the first process")

    def remember(self, teacher: Teacher, epoch: int, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        whole = self.gather(index)
        teacher.remember(whole(index), whole(logits.transpose(0, 1)).transpose(0, 1).contiguous(), whole(labels))

    def collect(self, part: Any) -> Any:
        return part if self.place.first else None


class ShardedData:
    """The same face as Data, with this process's part of every batch."""

    def __init__(self, whole: Data, part: Callable[[int], slice]) -> None:
        self.whole, self.part = whole, part
        self.num_samples, self.steps_per_epoch = whole.num_samples, whole.steps_per_epoch

    def batches(self, epoch: int, views: int = 1, start: int = 0) -> Iterator[Batch]:
        return map(self._mine, self.whole.batches(epoch, views, start))

    def ordered(self) -> Iterator[Batch]:
        return map(self._mine, self.whole.ordered())

    def held_out(self) -> Iterator[Batch]:
        return map(self._mine, self.whole.held_out())

    def test(self) -> Iterator[Batch]:
        return map(self._mine, self.whole.test())

    def _mine(self, batch: Batch) -> Batch:
        part = self.part(len(batch.labels))
        return Batch(batch.images[:, part], batch.labels[part], batch.index[part])
