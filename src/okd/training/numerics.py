"""How a step is computed, and on what."""

import os
import platform
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from okd.distillation.groups import Answers, Group, in_turn
from okd.plan.run import Run

# On a CPU these are a few percent slower with channels last; every other family gains a fifth or more (LOG.md, 2026-11-26).
CHANNELS_FIRST_ON_CPU = ("vgg", "alexnet")


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """What may differ between two computations of the same step. Batches, order and schedules never do."""

    deterministic: bool = False
    tf32: bool = True  # on a GPU: fp32 convolutions multiply ten bits of mantissa; matrix products, which make targets, keep all
    channels_last: bool = False
    autocast: torch.dtype | None = None  # of the students' layers; weights, losses, teacher and optimizer stay fp32
    captured: bool = False  # on a GPU: the whole step as one CUDA graph, students on parallel streams
    compiled: bool = False  # forward, teacher and losses by torch.compile


NUMERICS: Mapping[str, Numerics] = {
    "exact": Numerics(deterministic=True, tf32=False),
    "fast": Numerics(channels_last=True, captured=True),
    "fast-bf16": Numerics(channels_last=True, captured=True, autocast=torch.bfloat16),
    "fast-compiled": Numerics(channels_last=True, captured=True, compiled=True),
    "fast-bf16-compiled": Numerics(channels_last=True, captured=True, autocast=torch.bfloat16, compiled=True),
    "plain": Numerics(),  # an ordinary loop, the yardstick of `okd bench`; no run can be planned with it
}


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What exact numbers depend on beside the spec. A resume on another one is counted."""

    torch: str
    device: str
    capability: str
    threads: int

    def __str__(self) -> str:
        return f"torch {self.torch}, {self.device}, {self.capability}, {self.threads} thread{'s' if self.threads > 1 else ''}"


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def apply(numerics: Numerics) -> None:
    """Set this process up; one CPU thread, whatever the machine has, since results depend on it and several runs share it."""
    torch.set_num_threads(1)
    # As use_deterministic_algorithms, which would import the compiler.
    torch.set_deterministic_debug_mode("error" if numerics.deterministic else "default")
    torch.backends.cudnn.deterministic = numerics.deterministic
    torch.backends.cudnn.benchmark = not numerics.deterministic
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = numerics.tf32


def prepare(group: Group, run: Run, numerics: Numerics, device: torch.device) -> "Forward":
    """Lay the group's weights out as the numerics say, and return what computes it."""
    first = device.type == "cpu" and all(network.name.startswith(CHANNELS_FIRST_ON_CPU) for network in run.networks)
    if numerics.channels_last and not first:
        group.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if numerics.captured and not numerics.compiled and device.type == "cuda":
        group.together = ParallelStreams(device, group.size)
    return Forward(group, numerics, device)


class Forward:
    """A group under the numerics of a run: images to outputs in fp32."""

    def __init__(self, group: Group, numerics: Numerics, device: torch.device) -> None:
        self.group, self.dtype, self.device_type = group, numerics.autocast, device.type

    def __call__(self, images: Tensor) -> Any:
        with self._autocast():
            outputs = self.group(images)
        if self.dtype is None:
            return outputs
        shared = None if outputs.shared is None else outputs.shared.float()
        return outputs._replace(logits=outputs.logits.float(), features=[part.float() for part in outputs.features], shared=shared)

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype is None else torch.autocast(self.device_type, self.dtype)


class ParallelStreams:
    """Students computed at the same time: one alone is too small to fill a GPU."""

    def __init__(self, device: torch.device, students: int) -> None:
        self.streams = [torch.cuda.Stream(device) for _ in range(students - 1)]

    def __call__(self, inputs: Sequence[Tensor], students: Sequence[Callable[[Tensor], Answers]]) -> list[Answers]:
        main = torch.cuda.current_stream()
        for stream, maps in zip(self.streams, inputs[1:], strict=False):
            stream.wait_stream(main)
            maps.record_stream(stream)
        answers = in_turn(inputs[:1], students[:1])
        for stream, maps, student in zip(self.streams, inputs[1:], students[1:], strict=False):
            with torch.cuda.stream(stream):
                answers.append(student(maps))
        for stream, answer in zip(self.streams, answers[1:], strict=False):
            main.wait_stream(stream)
            for tensors in answer:
                for tensor in tensors:
                    tensor.record_stream(main)
        return answers


def prepare_environment() -> None:
    """What must be set before CUDA starts."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def fingerprint(device: torch.device) -> Fingerprint:
    if device.type == "cuda":
        name, capability = torch.cuda.get_device_name(device), f"CUDA {torch.version.cuda}"
    else:
        name, capability = platform.machine(), torch.backends.cpu.get_cpu_capability()
    return Fingerprint(torch=str(torch.__version__), device=name, capability=capability, threads=torch.get_num_threads())


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory where there is one, else of this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
