"""BatchNorm over a batch that is spread over processes.

torch.nn.SyncBatchNorm does the same on a GPU only. This one needs nothing but sums over processes, so it runs, and is tested, anywhere.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from okd.training.distributed.collective import total


class SyncBatchNorm(_BatchNorm):
    """The statistics of all processes' images, forward and backward; parameters and buffers are those of the layer that it stands for."""

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, eps=layer.eps, momentum=layer.momentum, affine=False, track_running_stats=False)
        self.affine, self.track_running_stats, self.training = layer.affine, layer.track_running_stats, layer.training
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var, self.num_batches_tracked = layer.running_mean, layer.running_var, layer.num_batches_tracked

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        normalised, mean, variance, count = _Normalised.apply(input, self.eps)  # type: ignore[misc]
        if self.running_mean is not None and self.running_var is not None:
            assert self.momentum is not None and self.num_batches_tracked is not None
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), self.momentum)
        if not self.affine:
            return normalised
        shape = _channels(input)
        return torch.addcmul(self.bias.view(shape), normalised, self.weight.view(shape))


class _Normalised(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) with the statistics of all processes. A process may have no image of a short batch."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes, shape = _others(values), _channels(values)
        num = values.numel() // values.shape[1]
        # Sums of squares in fp64 of local moments in fp32 lose no digits, and need one exchange.
        local = values.new_zeros(2 * values.shape[1] + 1, dtype=torch.float64)
        if num:
            variance, mean = torch.var_mean(values, axes, correction=0)
            mean, variance = mean.double(), variance.double()
            local = torch.cat([num * mean, num * (variance + mean**2), local.new_full((1,), num)])
        sums = total(local)
        count = sums[-1]
        mean, square = (sums[:-1] / count).chunk(2)
        variance = (square - mean**2).clamp(min=0)
        scale = (variance + eps).rsqrt().to(values.dtype)
        normalised = (values - mean.to(values.dtype).view(shape)) * scale.view(shape)
        ctx.save_for_backward(normalised, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        normalised, scale, count = ctx.saved_tensors
        gradient, axes, shape = gradients[0], _others(normalised), _channels(normalised)
        sums = total(torch.cat([gradient.sum(axes), (gradient * normalised).sum(axes)]).double()) / count
        mean, along = (part.to(gradient.dtype).view(shape) for part in sums.chunk(2))
        return (gradient - mean - normalised * along) * scale.view(shape), None


def _others(values: Tensor) -> list[int]:
    return [axis for axis in range(values.dim()) if axis != 1]


def _channels(values: Tensor) -> list[int]:
    return [-1 if axis == 1 else 1 for axis in range(values.dim())]


def synchronise(module: nn.Module) -> None:
    """Replace every BatchNorm below a module."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SyncBatchNorm):
                setattr(parent, name, SyncBatchNorm(child))
