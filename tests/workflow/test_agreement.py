"""Both engines do exactly the same work: the short path. All of it is in test_agreement_long.py."""

from pathlib import Path

import pytest
from agreement import Agreement
from project import Checkout
from small import ONE, STUDENT, TEACHER, make_checkout


def test_both_engines_agree(tmp_path: Path, record_property) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    agreement, every, taught = Agreement(checkout), sorted(checkout.index()), [TEACHER, STUDENT]
    step = agreement.step
    step("fresh", by="snakemake", trains=every, then=None)
    step("that not committed", by="dvc repro")
    step("ONE's temperature raised", lambda: hotter(checkout), by="dvc repro", trains=[ONE], then=None)
    step("the teacher's revision raised", lambda: newer_teacher(checkout), by="snakemake", trains=taught, then=None)
    step("committed", by="okd record")
    record_property("table", agreement.table())


def hotter(checkout: Checkout) -> None:
    checkout.edit("papers/small.yaml", "temperature: 3.0", "temperature: 4.0")


def newer_teacher(checkout: Checkout) -> None:
    checkout.raise_revision("networks", "wrn-tiny")


@pytest.mark.parametrize("first", ["snakemake", pytest.param("dvc repro", marks=pytest.mark.slow)])
def test_they_agree_after_real_training(tmp_path: Path, first: str, record_property) -> None:
    """No stub: the teacher and its student, on the digits."""
    checkout = make_checkout(tmp_path / "checkout")
    checkout.stub["STUB_TRAINER"] = "real"
    checkout.okd("plan", "small-t2", "--save")
    second = "dvc repro" if first == "snakemake" else "snakemake"
    agreement = Agreement(checkout)
    agreement.step("a teacher and its student, trained in earnest", by=first, trains=[TEACHER, STUDENT], then=None)
    agreement.step("then by the other engine", by=second)
    record_property("table", agreement.table())
