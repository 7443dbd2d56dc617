"""What computes a step faster must compute the same step, and wait for nothing."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from okd.plan.catalog import catalog
from okd.plan.settings import Settings
from okd.training import numerics
from okd.training.numerics import NUMERICS
from okd.training.optimizer import SGD, FusedSGD
from sessions import CASES, losses, run_of, session_of

CPU = torch.device("cpu")
EPOCHS = 4  # of 5 steps


GENTLE = 1e-3  # a learning rate at which twenty steps do not yet make something large of a rounding error


@cache
def curve(case: str, how: str, *, seed: int = 0, network: str = "resnet8", lr: float = GENTLE) -> torch.Tensor:
    return torch.stack(list(losses(session_of(run_of(case, how, seed=seed, network=network, lr=lr), CPU), EPOCHS)))


def distance(curve: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of a term, as a share of the total."""
    return float(((curve - other).abs() / other[:, -1:]).max())


@pytest.mark.parametrize("case", CASES)
def test_fast_is_exact_to_rounding_over_twenty_steps(case: str) -> None:
    exact, fast = curve(case, "exact"), curve(case, "fast")
    assert distance(fast, exact) < 1e-4, f"{exact}\n{fast}"


def test_a_slightly_different_step_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = curve("okddip", "exact")
    monkeypatch.setattr(FusedSGD, "set_rate", lambda self, rate, initial: SGD.set_rate(self, rate, initial))  # the rate stays 0
    assert distance(curve.__wrapped__("okddip", "fast"), exact) > 1e-3


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith(" 3")])
def test_bfloat16_stays_within_what_a_seed_changes(case: str) -> None:
    exact, other, half = (curve(case, how, seed=seed)[:, -1] for how, seed in (("exact", 0), ("exact", 1), ("fast-bf16", 0)))
    assert torch.isfinite(half).all()
    assert (half - exact).abs().mean() <= (other - exact).abs().mean()


DROPS = {"squeezenet-tiny"}  # dropout draws in the order of memory, which is another one with channels last
SIBLINGS = {entry.sibling for entry in catalog().networks.values() if entry.sibling}


@pytest.mark.parametrize("network", sorted(SIBLINGS - DROPS))
def test_fast_is_exact_for_other_families(network: str) -> None:
    exact, fast = curve("okddip", "exact", network=network), curve("okddip", "fast", network=network)
    assert distance(fast, exact) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fast-compiled", "fast-bf16-compiled"])
def test_compiled_is_what_it_compiles(how: str) -> None:
    """In a process of its own: the compiler leaves threads behind, and tests that fork come later."""
    plain = how.removesuffix("-compiled")
    code = f"from test_numerics import curve, distance; print(distance(curve('one', '{how}'), curve('one', '{plain}')))"
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parent, here.parents[1] / "src")))
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    if why := next((word for word in ("InvalidCxxCompiler", "Python.h", "g++: not found") if word in done.stderr), ""):
        pytest.skip(f"nothing to compile with here ({why})")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 2e-2


class Operations(TorchDispatchMode):
    """Counts what is dispatched, backward included."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Counter[str]()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.seen[operation.overloadpacket.__name__] += 1
        return operation(*args, **(kwargs or {}))


WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal")  # each makes the host wait for a GPU


@pytest.mark.parametrize("case", CASES)
def test_a_step_never_waits_for_the_device(case: str) -> None:
    session = session_of(run_of(case, "fast"), CPU)
    session.epoch = 2  # every method distils
    batches = iter(session.start_epoch())
    session.take_step(next(batches))
    batch = next(batches)
    with Operations() as counted:
        session.take_step(batch)
    assert not {name: counted.seen[name] for name in WAITS if counted.seen[name]}


def test_the_counter_of_waits_sees_one() -> None:
    with Operations() as counted:
        float(torch.ones(()))
    assert counted.seen["_local_scalar_dense"] == 1


def test_every_planned_numerics_is_known_here_and_the_yardstick_cannot_be_planned() -> None:
    assert set(NUMERICS) - {"plain"} == set(catalog().numerics)
    assert all(entry.built for entry in catalog().numerics.values())


def test_the_scale_decides_where_nothing_is_said() -> None:
    blank = Settings.model_construct(numerics=None)
    assert [blank.numerics_at(scale) for scale in ("demo", "short", "paper")] == ["exact", "fast", "fast"]
    assert Settings.model_construct(numerics="exact").numerics_at("paper") == "exact"


def test_weights_lie_as_the_numerics_say() -> None:
    def channels_last(network: str, how: str) -> bool:
        session = session_of(run_of("baseline", how, network=network), CPU)
        weight = next(parameter for parameter in session.group.parameters() if parameter.dim() == 4 and parameter.shape[1] > 3)
        return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()

    assert not channels_last("resnet8", "exact")
    assert channels_last("resnet8", "fast")


def test_one_session_does_not_leave_its_settings_to_the_next() -> None:
    numerics.apply(NUMERICS["fast"])
    assert torch.backends.cudnn.allow_tf32
    numerics.apply(NUMERICS["exact"])
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_deterministic_debug_mode() == 2


def test_a_step_of_another_batch_size_moves_the_same_weights() -> None:
    """The short batch is counted and learned from like any other."""
    session = session_of(replace(run_of("one", "fast"), seed=3), CPU)
    for batch in session.start_epoch():
        session.take_step(batch)
    assert session.totals.images == len(session.data.used)
    assert int(session.alarm.step) == session.data.steps_per_epoch
