"""A trainer killed at any moment of publishing leaves the old result, none, or the new one; never anything else that counts."""

import shutil
import signal
from pathlib import Path

import pytest
from agreement import NOTHING, Agreement
from project import Checkout
from small import ONE, finished_checkout, make_checkout

MOST = 60  # changes of files while one result is published; fewer in fact


@pytest.fixture
def stale(tmp_path: Path) -> Checkout:
    """ONE has a result of another temperature than the plan says now."""
    checkout = make_checkout(tmp_path / "checkout")
    checkout.okd("fetch", "digits")
    checkout.okd("train", ONE)
    checkout.edit("papers/small.yaml", "temperature: 3.0", "temperature: 4.0")
    checkout.okd("plan")
    checkout.trained()
    return checkout


def state(checkout: Checkout) -> str:
    """What counts of ONE's results: "old", "none" or "new", each whole."""
    folder, key = checkout.folder(ONE), checkout.index()[ONE]["key"]
    if not folder.exists():
        return "none"
    stored = (folder / "key").read_text().strip()
    assert sorted(file.name for file in folder.iterdir()) == sorted([stored, "key"])
    assert len(list((folder / stored).iterdir())) == 5
    return "new" if stored == key else "old"


def killed_at(checkout: Checkout, number: int) -> bool:
    """Train ONE, killed before its so-many-th change of a file; False where it came to its end."""
    checkout.stub["STUB_KILL"] = str(number)
    done = checkout.okd("train", ONE, code=None)
    checkout.stub.clear()
    assert done.code in (-signal.SIGKILL, 0), done.text
    return done.code != 0


@pytest.mark.slow
def test_every_kill_leaves_old_none_or_new(stale: Checkout) -> None:
    before = stale.copy(stale.root.with_name("before"))
    seen = list[str]()
    for number in range(1, MOST):
        if not killed_at(stale, number):
            break
        seen.append(state(stale))
        stale.okd("train", ONE)
        assert state(stale) == "new"
        stale.okd("gc")
        assert not [left for name in ("new", "old") for left in (stale.root / "results").glob(f"{name}/*")]
        shutil.rmtree(stale.root / "results")
        shutil.copytree(before.root / "results", stale.root / "results")
    assert seen == sorted(seen, key=["old", "none", "new"].index), "in this order only"
    assert set(seen) == {"old", "none", "new"}
    assert len(seen) > 15


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 12, 19])
def test_both_engines_see_a_kill_alike(number: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.edit("papers/small.yaml", "temperature: 3.0", "temperature: 4.0")
    checkout.okd("plan")
    assert killed_at(checkout, number)
    trained = state(checkout) == "new"
    wants = ((), [ONE]) if trained else ([ONE], [ONE])
    agreement = Agreement(checkout)
    agreement.step("a trainer killed", wants=wants, by="dvc repro", trains=[] if trained else [ONE])
    assert checkout.okd("gc").out.splitlines()[-1].startswith("freed")
    agreement.step("leftovers cleared", wants=NOTHING, by="snakemake")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["snakemake", "dvc repro"])
def test_an_engine_whose_trainer_is_killed_fails_and_goes_on(by: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.delete(ONE)
    checkout.stub["STUB_KILL"] = "5"
    agreement = Agreement(checkout)
    agreement.step("a trainer killed under its engine", by=by, code=1 if by == "snakemake" else 255, then=([ONE], [ONE]))
    checkout.stub.clear()
    agreement.step("the same again", by=by, trains=[ONE], then=None)
