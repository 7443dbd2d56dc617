"""What a run failed of, in one line that says what to do. No torch here."""

NO_MEMORY = ("out of memory", "can't allocate memory")
DEVICE = ("CUDA error", "CUDNN_STATUS", "CUBLAS_STATUS", "NCCL error")


def in_words(error: BaseException) -> str:
    """One line. A device that ran out of memory, or failed, is never a divergence, and no recipe is bent to get round it."""
    kind, first = type(error).__name__, next(iter(str(error).splitlines()), "")
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or any(word in first for word in NO_MEMORY):
        words = first if "out of memory" in first else f"out of memory: {first}".removesuffix(": ")
        return f"{words}; the batch stays what the recipe says: lower devices.slots in params.yaml or take a larger device"
    if kind == "AcceleratorError" or any(word in first for word in DEVICE):
        return f"the device failed: {first}; nothing was saved since, the same command resumes"
    return f"{kind}: {first}".removesuffix(": ")
