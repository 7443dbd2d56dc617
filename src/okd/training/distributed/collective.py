"""What processes say to each other through torch.distributed. One that hears no answer stops, and can be resumed."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from okd.training.stop import Stop, Stopped

WAIT_S = 120.0  # for another process, before it counts as lost; OKD_WAIT_S says otherwise


def wait_s() -> float:
    return float(os.environ.get("OKD_WAIT_S", WAIT_S))


def join(stop: Stop) -> None:
    """Meet the processes that torchrun has started. Raises Stopped where one does not come."""
    stop.check()
    with answered():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=wait_s()))


@contextmanager
def answered() -> Iterator[None]:
    """Raises Stopped where torch.distributed says that a process is gone, or has said nothing for too long."""
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        words = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Stopped(f"another process of this run does not answer ({words[:160]}); the last checkpoint stands") from None


def total(values: Tensor) -> Tensor:
    """The sum over processes, the same bits in each."""
    with answered():
        values = values.contiguous()
        dist.all_reduce(values)
    return values


def from_first(tensors: Iterable[Tensor]) -> None:
    with answered():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def rows_of_all(rows: Tensor) -> Tensor:
    """Everybody's rows (n, ...), process after process; their numbers may differ."""
    counts = torch.zeros(dist.get_world_size(), dtype=torch.int64)
    counts[dist.get_rank()] = len(rows)
    most = int(total(counts).max())
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(len(counts))]
    with answered():
        dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts.tolist(), strict=True)])


def after_first(load: Callable[[], object]) -> object:
    """The first process does it, then the others."""
    first = dist.get_rank() == 0
    found = load() if first else None
    with answered():
        dist.barrier()
    return found if first else load()
