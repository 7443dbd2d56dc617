"""A trainer killed at any moment of publishing leaves the old result, none, or the new one; never anything else that counts."""

import shutil
import signal
from pathlib import Path

import pytest
from agreement import NOTHING, Agreement, Wanted
from project import Checkout
from small import ONE, finished_checkout

MOST = 60  # changes of files while one result is published; fewer in fact
WORDS = {"old": "the old result", "none": "none", "new": "the new one"}


@pytest.fixture
def stale(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """All runs are done and recorded, but ONE's result is of another temperature than the plan says now."""
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.edit("papers/small.yaml", "temperature: 3.0", "temperature: 4.0")
    checkout.okd("plan")
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
def test_every_kill_leaves_old_none_or_new_and_both_engines_see_which(stale: Checkout) -> None:
    before = stale.copy(stale.root.with_name("before"))
    agreement, seen = Agreement(stale), list[str]()
    for number in range(1, MOST):
        if not killed_at(stale, number):
            break
        seen.append(state(stale))
        agreement.expect(f"killed before change {number}", wanted(seen[-1]))
        stale.okd("train", ONE)
        assert state(stale) == "new"
        stale.okd("gc")
        assert not [left for name in ("new", "old") for left in (stale.root / "results").glob(f"{name}/*")]
        shutil.rmtree(stale.root / "results")
        shutil.copytree(before.root / "results", stale.root / "results")
    assert seen == sorted(seen, key=["old", "none", "new"].index), "in this order only"
    assert set(seen) == {"old", "none", "new"}
    assert len(seen) > 15


def wanted(state: str) -> Wanted:
    """What is published counts for Snakemake at once, for DVC once it is committed."""
    return ((), [ONE]) if state == "new" else ([ONE], [ONE])


@pytest.mark.slow
@pytest.mark.parametrize("left", ["old", "none", "new"])
def test_either_engine_goes_on_after_a_kill(left: str, stale: Checkout, record_property) -> None:
    """At the first moment that leaves this state."""
    before = stale.copy(stale.root.with_name("before"))
    for number in range(1, MOST):
        assert killed_at(stale, number)
        if state(stale) == left:
            break
        shutil.rmtree(stale.root / "results")
        shutil.copytree(before.root / "results", stale.root / "results")
    stale.trained()
    agreement = Agreement(stale)
    agreement.step(
        f"a trainer killed while it published, which left {WORDS[left]}",
        wants=wanted(left),
        by="dvc repro",
        trains=[] if left == "new" else [ONE],
    )
    stale.okd("gc")
    agreement.step("leftovers cleared by `okd gc`", wants=NOTHING, by="snakemake")
    record_property("table", agreement.table())


@pytest.mark.slow
@pytest.mark.parametrize("by", ["snakemake", "dvc repro"])
def test_an_engine_whose_trainer_is_killed_fails_and_goes_on(
    by: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property
) -> None:
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.delete(ONE)
    checkout.stub["STUB_KILL"] = "5"
    agreement = Agreement(checkout)
    agreement.step("a trainer killed under its engine", by=by, code=1 if by == "snakemake" else 255, then=([ONE], [ONE]))
    checkout.stub.clear()
    agreement.step("the same again", by=by, trains=[ONE], then=None)
    record_property("table", agreement.table())
