"""How a step is computed, and on what."""

import os
import platform
from dataclasses import dataclass

import torch


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


def apply(numerics: str, device: torch.device) -> None:
    """Set this process up: `exact` is fp32 without TF32, deterministic kernels only, one CPU thread."""
    assert numerics == "exact", f"numerics {numerics} are not built"
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which would import the compiler
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def prepare_environment() -> None:
    """What must be set before CUDA starts."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def fingerprint(device: torch.device) -> Fingerprint:
    if device.type == "cuda":
        name, capability = torch.cuda.get_device_name(device), f"CUDA {torch.version.cuda}"
    else:
        name, capability = platform.machine(), torch.backends.cpu.get_cpu_capability()
    return Fingerprint(torch=str(torch.__version__), device=name, capability=capability, threads=torch.get_num_threads())
