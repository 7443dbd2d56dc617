"""Weights and learning rates over the epochs, and the phases of MD."""

from math import cos, exp, pi

import pytest

from okd.distillation.schedules import ByPhase, Constant, Phases, RampUp, cycle_ends, learning_rate


def test_ramp_up_is_the_codes_of_one_and_okddip() -> None:
    ramp = RampUp(80, 9.0)
    for epoch in (0, 1, 40, 79, 80, 299):
        assert ramp(epoch) == pytest.approx(9 * exp(-5 * (1 - min(epoch, 80) / 80) ** 2))
    assert [round(RampUp(80)(epoch), 4) for epoch in (0, 40, 80)] == [0.0067, 0.2865, 1.0]


def test_no_ramp_is_full_weight_from_the_start() -> None:
    assert RampUp(0, 9.0)(0) == 9.0
    assert Constant(9.0)(0) == Constant(9.0)(299) == 9.0


def test_multistep_drops_when_the_milestones_epoch_begins() -> None:
    rate = learning_rate({"multistep": [0.1, 150, 225]}, epochs=300)
    assert [rate(epoch) for epoch in (0, 149, 150, 224, 225, 299)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_cycles_start_again() -> None:
    rate = learning_rate({"cycles": [0.2, 5]}, epochs=300)
    for start in range(0, 300, 60):
        assert rate(start) == 0.2
        assert rate(start + 45) == pytest.approx(0.1 * (1 + cos(pi * 45 / 60)))
        assert rate(start + 59) < 0.001
    single = learning_rate({"cosine": 0.2}, epochs=300)
    assert (single(0), single(150), single(299) < 0.0001) == (0.2, pytest.approx(0.1), True)


@pytest.mark.parametrize(
    ("lr", "epochs", "ends"),
    [
        ({"cycles": [0.2, 5]}, 300, (60, 120, 180, 240, 300)),
        ({"cycles": [0.2, 5]}, 6, (2, 3, 4, 5, 6)),
        ({"cycles": [0.2, 3]}, 10, (4, 7, 10)),
        ({"cosine": 0.2}, 6, (6,)),
        ({"multistep": [0.1]}, 6, (6,)),
    ],
)
def test_as_many_cycles_as_were_asked_for(lr, epochs: int, ends: tuple[int, ...]) -> None:
    assert cycle_ends(lr, epochs=epochs) == ends
    if "cycles" in lr:
        rate = learning_rate(lr, epochs=epochs)
        assert [epoch for epoch in range(epochs) if rate(epoch) == 0.2] == [0, *ends[:-1]]


def test_warm_up_grows_linearly_and_then_follows() -> None:
    rate = learning_rate({"multistep": [0.8, 60]}, epochs=100, warm_up=5)
    assert [rate(epoch) for epoch in (0, 1, 4, 5, 60)] == pytest.approx([0.16, 0.32, 0.8, 0.8, 0.08])


def test_phases_of_the_paper() -> None:
    phases = Phases(10, 30, 320)
    assert [phases.distilled(epoch) for epoch in (0, 9, 10, 39, 40, 49, 50, 319)] == [None, None, 0, 29, None, None, 0, 29]


def test_a_last_cycle_that_does_not_fit_is_dropped() -> None:
    phases = Phases(10, 30, 330)
    assert all(phases.distilled(epoch) is None for epoch in range(320, 330))
    assert Phases(10, 30, 39).distilled(38) is None
    assert Phases(10, 30, 40).distilled(39) == 29


def test_gradual_weights_add_up_to_two() -> None:
    phases = Phases(10, 30, 320)
    hard, soft = ByPhase(phases, alone=1.0, first=1.0, growth=-1.0), ByPhase(phases, alone=0.0, first=1.0, growth=1.0)
    assert [(hard(epoch), soft(epoch)) for epoch in (0, 9, 10)] == [(1, 0), (1, 0), (1, 1)]
    for r in range(30):
        assert (hard(10 + r), soft(10 + r)) == (pytest.approx(1 - r / 30), pytest.approx(1 + r / 30))
