"""Claims that are arithmetic on printed probabilities and need no training."""

from math import isclose, log

from okd.plan.claims import Criterion, CrossEntropy, Mixture


def cross_entropy(label: list, prediction: list) -> float:
    """-sum of label x log(prediction), in nats; classes without a label count nothing."""
    return -sum(share * log(probability) for share, probability in zip(label, prediction, strict=True) if share)


def arithmetic_holds(criterion: Criterion) -> bool:
    value = criterion.value
    if isinstance(value, CrossEntropy):
        first, second = (cross_entropy(value.label, prediction) for prediction in value.predictions)
        return isclose(first, second, abs_tol=1e-12) if value.expect == "equal" else first < second
    assert isinstance(value, Mixture)
    mixed = [
        sum(weight * part for weight, part in zip(value.weights, column, strict=True)) for column in zip(*value.predictions, strict=True)
    ]
    separate = [weight * cross_entropy(value.label, one) for weight, one in zip(value.weights, value.predictions, strict=True)]
    return cross_entropy(value.label, mixed) <= sum(separate) + 1e-12
