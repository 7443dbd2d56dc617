"""What only a GPU can show: one graph a step, no wait in it, the same numbers, the same bits after a resume."""

from collections.abc import Iterator

import pytest
import torch

from okd.training import checkpoint, numerics
from okd.training.numerics import NUMERICS
from okd.training.session import Session
from sessions import CASES, losses, run_of, session_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
CPU, EPOCHS = torch.device("cpu"), 4


def curve(session: Session) -> torch.Tensor:
    return torch.stack(list(losses(session, EPOCHS)))


def distance(curve: torch.Tensor, other: torch.Tensor) -> float:
    return float(((curve - other).abs() / other[:, -1:]).max())


@pytest.fixture
def no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = numerics.apply

    def apply(wanted: numerics.Numerics) -> None:
        plain(wanted)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    monkeypatch.setattr(numerics, "apply", apply)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("no_tf32")
def test_the_captured_step_is_the_exact_one(case: str) -> None:
    """Twenty steps, fp32 without TF32. Random attention draws other numbers on another device, so both are on this one."""
    gpu = torch.device("cuda")
    fast = session_of(run_of(case, "fast", lr=1e-3), gpu)
    computed = curve(fast)
    assert fast.captured
    assert fast.captured.graphs, "nothing was captured"
    assert None not in fast.captured.graphs.values(), "a step fell back to the host"
    if "random" not in case:
        assert distance(computed, curve(session_of(run_of(case, "exact", lr=1e-3), gpu))) < 1e-4


@pytest.mark.parametrize("how", ["fast", "fast-bf16"])
@pytest.mark.parametrize("case", CASES)
def test_no_step_waits_for_the_device(case: str, how: str) -> None:
    session = session_of(run_of(case, how), torch.device("cuda"))
    session.epoch = 2
    batches = list(session.start_epoch()) * 2
    for batch in batches[:5]:  # kernels chosen, the graph captured, a short batch seen
        session.take_step(batch)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[5:]:
            session.take_step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_are_made_without_waiting() -> None:
    session = session_of(run_of("one", "fast"), torch.device("cuda"))
    batches = iter(session.start_epoch())
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(batches)) == session.data.steps_per_epoch - 1
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", ["baseline", "one", "okddip", "okddip network", "okddip random", "md", "kdcl-general"])
def test_an_exact_run_resumes_to_the_bit(case: str) -> None:
    def fresh() -> Session:
        return session_of(run_of(case, "exact"), torch.device("cuda"))

    def steps(session: Session) -> Iterator[None]:
        from okd.training.predict import show

        while session.epoch < 3:
            for batch in session.start_epoch():
                session.take_step(batch)
                yield
            show(session)
            session.end_epoch({}, 0)

    def state(session: Session) -> str:
        kept = session.state_dict()
        return checkpoint.digest({name: kept[name] for name in ("group", "teacher", "optimizer", "random", "epoch", "step")})

    whole = fresh()
    for _ in steps(whole):
        pass
    unbroken, broken = state(whole), fresh()
    for _, _ in zip(steps(broken), range(8), strict=False):
        pass
    saved, resumed = broken.state_dict(), fresh()
    resumed.load_state_dict(saved)
    for _ in steps(resumed):
        pass
    assert state(resumed) == unbroken


@pytest.mark.parametrize("how", ["fast", "fast-bf16"])
def test_half_precision_and_tf32_stay_within_what_a_seed_changes(how: str) -> None:
    assert NUMERICS[how].tf32
    gpu = torch.device("cuda")
    exact, other, ours = (
        curve(session_of(run_of("okddip", name, seed=seed, lr=1e-3), gpu))[:, -1] for name, seed in (("exact", 0), ("exact", 1), (how, 0))
    )
    assert (ours - exact).abs().mean() <= (other - exact).abs().mean()
