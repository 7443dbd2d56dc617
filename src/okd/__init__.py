"""Online knowledge distillation, reproduced: one plan, one training loop, one report."""

__version__ = "0.1.0"
