"""Which of a run's processes this is: the only one, one that torchrun has started, or a node of its own. No torch here."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from okd.plan.run import Run


class Split(StrEnum):
    """What the processes of a run share out."""

    BATCH = "batch"  # each has all students and a part of every batch
    STUDENTS = "students"  # each has some of the students and every batch


@dataclass(frozen=True, kw_only=True)
class Place:
    """The first process of a run publishes it."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0  # on this machine
    local_count: int = 1
    split: Split = Split.BATCH
    exchange: Path | None = None  # a folder where nodes that cannot reach each other meet

    @staticmethod
    def here(split: Split = Split.BATCH) -> "Place":
        """As torchrun says."""
        numbers = [int(os.environ.get(name, default)) for name, default in _TORCHRUN]
        return Place(rank=numbers[0], count=numbers[1], local_rank=numbers[2], local_count=numbers[3], split=split)

    @staticmethod
    def named(words: str, exchange: Path) -> "Place":
        """As `--node 1/3` says. Raises ValueError."""
        rank, _, count = words.partition("/")
        if not (rank.isdigit() and count.isdigit() and int(rank) < int(count)):
            raise ValueError(f"--node {words}: write I/N, this node's number from 0 and the number of nodes, as 0/2")
        return Place(rank=int(rank), count=int(count), split=Split.STUDENTS, exchange=exchange)

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def shares_batches(self) -> bool:
        return self.count > 1 and self.split is Split.BATCH

    @property
    def started(self) -> bool:
        """By torchrun, which has given this process a device."""
        return self.count > 1 and self.exchange is None

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def saves(self) -> bool:
        """Of processes that share a batch, all have the same weights."""
        return self.first or self.split is Split.STUDENTS

    def scratch(self, folder: Path) -> Path:
        """Where this process keeps its lock and its resume files."""
        return folder / f"node-{self.rank}" if not self.alone and self.split is Split.STUDENTS else folder


def shares(run: Run, count: int) -> list[range]:
    """Which students each node has. Raises ValueError where they cannot live apart, or are too few."""
    total = len(run.networks)
    if "t_d" not in run.method.options:  # no phases: nothing is remembered that nodes could exchange
        raise ValueError(f"{run.id}: {run.method.name} needs all students in every step; only MD's and EC-DNN's can live apart")
    if run.method.group != "networks" or count > total:
        raise ValueError(f"{run.id}: {total} students cannot live on {count} nodes")
    return [range(total * rank // count, total * (rank + 1) // count) for rank in range(count)]


_TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
