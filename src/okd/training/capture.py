"""The whole step as one CUDA graph: recorded once, then replayed for every full batch, so that the host launches one thing a step."""

import sys
from collections import Counter
from collections.abc import Callable, Hashable

import torch

from okd.data.batch import Batch

WARM_UP = 3  # steps as they come, in which libraries choose their kernels and buffers are made


class Captured:
    """A step on batches of one shape. Forward, losses, backward, optimizer and counts happen in the graph; nothing waits for the host.

    `compute` must read and write tensors that stay where they are, and no number of the host that changes. `kind` names what else shapes
    the computation: each kind has a graph of its own.
    """

    def __init__(self, compute: Callable[[Batch], None]) -> None:
        self.compute = compute
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self.seen = Counter[Hashable]()
        self.batch: Batch | None = None
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, batch: Batch, kind: Hashable) -> None:
        self.seen[kind] += 1
        if self.seen[kind] <= WARM_UP:
            return self.compute(batch)
        if self.batch is None:
            self.batch = Batch(*(tensor.clone() for tensor in batch))
        for mine, given in zip(self.batch, batch, strict=True):
            mine.copy_(given)
        if kind not in self.graphs:
            self.graphs[kind] = self._capture(self.batch)
        graph = self.graphs[kind]
        return graph.replay() if graph else self.compute(batch)

    def _capture(self, batch: Batch) -> torch.cuda.CUDAGraph | None:
        """None where a kernel of this step cannot be captured: said once, and the step is computed as it comes."""
        graph = torch.cuda.CUDAGraph()
        try:
            # The thread that pins the next batches' memory goes on working: what it calls is not of this graph.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                self.compute(batch)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            torch.cuda.synchronize()
            print(f"not captured as a graph, computed step by step: {str(error).splitlines()[0]}", file=sys.stderr)
            return None
        return graph
