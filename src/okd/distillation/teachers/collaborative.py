"""One teacher made of all students' logits: KDCL."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.teachers.teacher import Setting, Teacher
from okd.distillation.types import Lesson, Outputs

Combine = Callable[[Tensor, Tensor], Tensor]  # logits (M, B, K) and labels (B,) to one logit vector a sample (B, K)

HALVINGS = 24  # of an interval: fp32 knows no finer weight
NEWTON_STEPS = 40  # each halves the barrier, to 1e-13 of the logits' range
RIDGE = 1e-6  # equal students make C singular


class Combined(Teacher):
    """One vector of logits, built for every sample anew, teaches all students [Guo et al., CVPR 2020].

    q_i = softmax(z_t / T),   z_t = z_k, k = argmin_i CE(z_i, y)                                     (naive)
                              z_t = sum_i a_i z_i, a = argmin CE over a_i >= 0, sum a = 1             (linear)
                              z_t[j] = min_i (z_i[j] - z_i[y])                                        (min-logit)

    Each is nearer to the label than the one before: CE(min-logit) <= CE(linear) <= CE(naive) = min_i CE(z_i).

    Gradient: z_t is cut off; the weights are constants. No lesson in evaluation, where it would look at the test set's labels.
    """

    def __init__(self, temperature: float, combine: Combine) -> None:
        super().__init__(temperature)
        self.combine = combine

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        if not self.training:
            return Lesson()
        combined = self.combine(outputs.logits.detach(), batch.labels)
        return Lesson(soften(combined, self.temperature).expand_as(outputs.logits))


def naive(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits of the student that is best on the sample."""
    # CE is log(1 + what is wrong), and in fp32 it is 0 for several students long before they are equal.
    true = torch.arange(logits.shape[2], device=labels.device) == labels.unsqueeze(1)
    best = relative(logits, labels).masked_fill(true, -torch.inf).logsumexp(dim=2).argmin(dim=0)
    return logits[best, torch.arange(len(labels), device=logits.device)]


def linear(logits: Tensor, labels: Tensor) -> Tensor:
    """The convex mixture of the students' logits that fits the label best."""
    return _mix(best_weights(relative(logits, labels)), logits)


def min_logit(logits: Tensor, labels: Tensor) -> Tensor:
    """Class by class the smallest logit, each student's counted from its logit of the true class."""
    return relative(logits, labels).amin(dim=0)


def relative(logits: Tensor, labels: Tensor) -> Tensor:
    """z_i - z_i[y]: the cross-entropy of such logits is their log-sum-exp."""
    return logits - logits.gather(2, labels.expand(len(logits), -1).unsqueeze(2))


def best_weights(relative_logits: Tensor) -> Tensor:
    """Weights (M, B) on the simplex with the smallest cross-entropy of the mixture, a convex problem per sample."""
    if len(relative_logits) != 2:
        return _interior(relative_logits.double()).to(relative_logits.dtype)
    first, second = relative_logits
    weight = _lowest(_slope_along(second, first - second), torch.ones_like(first[:, 0]))
    return torch.stack([weight, 1 - weight])


def _interior(logits: Tensor) -> Tensor:
    """Newton's method on CE(sum_i a_i z_i, y) - mu sum_i log a_i, with mu halved after every step.

    Without curvature, moves between two students at a time come to rest far from the minimum where logits are large.
    """
    students, batch, _ = logits.shape
    weights = logits.new_full((students, batch), 1 / students)
    barrier = 0.1 * (logits.amax(dim=(0, 2)) - logits.amin(dim=(0, 2))).clamp(min=1e-6)
    for _ in range(NEWTON_STEPS):
        weights = _newton_step(weights, logits, barrier)
        barrier = barrier / 2
    return weights / weights.sum(dim=0)


def _newton_step(weights: Tensor, logits: Tensor, barrier: Tensor) -> Tensor:
    """From weights (M, B) inside the simplex to better ones, as far in Newton's direction as it goes down."""
    mixture = _mix(weights, logits)
    predictions = F.softmax(mixture, dim=1)
    slopes = (predictions * logits).sum(dim=2)
    gradient = slopes - barrier / weights
    gradient = gradient - gradient.mean(dim=0)  # along the simplex; what leaves it would only cancel, and cost digits
    curvature = torch.einsum("bk,mbk,nbk->bmn", predictions, logits, logits) - torch.einsum("mb,nb->bmn", slopes, slopes)
    curvature += torch.diag_embed((barrier / weights**2).T)
    sides = torch.stack([gradient.T, torch.ones_like(gradient.T)], dim=2)
    uphill, level = torch.linalg.solve_ex(curvature, sides).result.unbind(dim=2)
    direction = (level * (uphill.sum(dim=1) / level.sum(dim=1)).unsqueeze(1) - uphill).T  # sums to 0 over students
    along = _slope_along(mixture, _mix(direction, logits))

    def slope(step: Tensor) -> Tensor:
        return along(step) - (barrier * direction / (weights + step * direction)).sum(dim=0)

    room = 0.99 * (weights / -direction).masked_fill(direction >= 0, torch.inf).amin(dim=0).clamp(max=4.0)
    return weights + _lowest(slope, room) * direction


def _slope_along(start: Tensor, direction: Tensor) -> Callable[[Tensor], Tensor]:
    """How log-sum-exp(start + step * direction), both (B, K), changes with the step (B,)."""
    return lambda step: (F.softmax(start + step.unsqueeze(1) * direction, dim=1) * direction).sum(dim=1)


def _lowest(slope: Callable[[Tensor], Tensor], end: Tensor) -> Tensor:
    """The steps (B,) in [0, end] where convex functions are lowest: halving the interval by the sign of the slope."""
    low, high = torch.zeros_like(end), end
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        falls = slope(middle) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return (low + high) / 2


def _mix(weights: Tensor, logits: Tensor) -> Tensor:
    """Sum over students of weights (M, B) times logits (M, B, K); not a matrix product, which TF32 would round."""
    return (weights.unsqueeze(2) * logits).sum(dim=0)


class General(Teacher):
    """Students weighted by what they get wrong on images that none of them trains on [Guo et al., CVPR 2020].

    q_i = softmax(z_t / T),   z_t = sum_i w_i z_i,   w_k = sum_j (C^-1)_kj / sum_ij (C^-1)_ij,
    C_ij = 1/N sum_x (f_i(x) - t).(f_j(x) - t),   f = softmax(z), t the one-hot label

    The closed form may leave [0, 1]: negative weights are set to 0, the others divided by their sum. Weights start at 1/m and are
    renewed after every epoch. Gradient: z_t is cut off; the weights are constants.
    """

    weights: Tensor

    def __init__(self, temperature: float, *, size: int) -> None:
        super().__init__(temperature)
        self.register_buffer("weights", torch.full((size,), 1 / size))

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        combined = _mix(self.weights.unsqueeze(1), outputs.logits.detach())
        return Lesson(soften(combined, self.temperature).expand_as(outputs.logits))

    def wants(self, epoch: int) -> Literal["held_out"]:
        return "held_out"

    def remember(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.weights.copy_(error_weights(logits, labels))


def error_weights(logits: Tensor, labels: Tensor) -> Tensor:
    """w (M,) from logits (M, N, K) and labels (N,), in fp64."""
    num_images, num_classes = logits.shape[1:]
    errors = F.softmax(logits.double(), dim=2) - F.one_hot(labels, num_classes)
    covariance = torch.einsum("ink,jnk->ij", errors, errors) / num_images
    covariance += RIDGE * torch.eye(len(logits), dtype=covariance.dtype, device=covariance.device)
    weights = torch.linalg.solve_ex(covariance, torch.ones_like(covariance[0])).result.clamp(min=0)
    return weights / weights.sum()


def combined(temperature: float, combine: Combine):
    def build(setting: Setting) -> Combined:
        return Combined(temperature, combine)

    return build


def general(temperature: float):
    def build(setting: Setting) -> General:
        return General(temperature, size=setting.size)

    return build
