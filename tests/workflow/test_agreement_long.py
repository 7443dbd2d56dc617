"""Both engines do exactly the same work: every step of the table, each with the stub for a trainer."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from agreement import NOTHING, Agreement
from project import Checkout, shuffle_times
from small import BASELINE, ONE, STUDENT, TEACHER, finished_checkout

pytestmark = pytest.mark.slow
TAUGHT = [TEACHER, STUDENT]
OTHER_RUNS = "okd: plan/ now has other runs: run the same dvc command again"


@pytest.fixture
def agreement(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property) -> Iterator[Agreement]:
    """All six runs are done, recorded and committed."""
    agreement = Agreement(finished_checkout(tmp_path / "checkout", tmp_path_factory))
    yield agreement
    record_property("table", agreement.table())


def test_edits(agreement: Agreement) -> None:
    checkout, step = agreement.checkout, agreement.step
    paper = "papers/small.yaml"

    def temperature(old: str, new: str) -> None:
        checkout.edit(paper, f"temperature: {old}", f"temperature: {new}")

    step(
        "ONE's temperature 3 to 4", lambda: temperature("3.0", "4.0"), wants=([ONE], [ONE]), by="snakemake", trains=[ONE], then=((), [ONE])
    )
    step("committed", by="okd record")
    step("back to 3", lambda: temperature("4.0", "3.0"), wants=([ONE], [ONE]), by="dvc repro", trains=[ONE])
    checkout.commit()
    step("4 again, not planned first", lambda: temperature("3.0", "4.0"), by="dvc repro", trains=[ONE])
    undo = ("checkout", "--quiet", "papers", "dvc.lock")
    step("edit and dvc.lock taken back by git", lambda: checkout.git(*undo), wants=([ONE], [ONE]), by="dvc checkout")
    step("a method's revision raised", lambda: checkout.raise_revision("methods", "one"), by="dvc repro", trains=[ONE])
    decay = ("network: resnet8, statistic: student}\n    rows:\n      ResNet: {}\n    columns:\n      Teacher", "weight_decay: 1.0e-4")
    step(
        "the teacher's recipe",
        lambda: checkout.edit(paper, decay[0], decay[0].replace("student}", f"student, recipe: {{{decay[1]}}}}}")),
        by="dvc repro",
        trains=TAUGHT,
    )
    step(
        "a raised teacher's revision",
        lambda: checkout.raise_revision("networks", "wrn-tiny"),
        wants=(TAUGHT, TAUGHT),
        by="snakemake",
        trains=TAUGHT,
        then=((), TAUGHT),
    )
    step("committed", by="okd record")
    kd = "KD: {method: kd, teacher: {network: %s, method: baseline}}"
    other = TEACHER.replace("wrn", "vgg")
    done = step("another teacher", lambda: checkout.edit(paper, kd % "wrn-tiny", kd % "vgg-tiny"), by="dvc repro", then=None, code=255)
    assert done.lines("plan/") == [OTHER_RUNS]
    step("the same command again", wants=([other, STUDENT], [other, STUDENT]), by="dvc repro", trains=[other, STUDENT])


def test_a_margin_touches_only_tables_and_report(agreement: Agreement) -> None:
    checkout, step = agreement.checkout, agreement.step
    margin = ("papers/margins.yaml", "digits: 1.0", "digits: 1.5")
    done = step("a margin", lambda: checkout.edit(*margin), wants=NOTHING, by="dvc repro")
    assert re.findall(r"Running stage '(\S+)'", done.text) == ["plan", "tables", "report"]
    done = step("another margin", lambda: checkout.edit(*reversed_edit(*margin)), wants=NOTHING, by="snakemake", then=None)
    assert [line.split() for line in done.text.splitlines() if line.startswith(("tables ", "report ", "train ", "total "))] == [
        ["tables", "1"],
        ["report", "1"],
        ["total", "3"],
    ]


def reversed_edit(file: str, old: str, new: str) -> tuple[str, str, str]:
    return file, new, old


def test_deletions(agreement: Agreement) -> None:
    checkout, step, root = agreement.checkout, agreement.step, agreement.checkout.root
    every = sorted(checkout.index())
    step("a result deleted", lambda: checkout.delete(ONE), wants=([ONE], [ONE]), by="snakemake", trains=[ONE], then=((), [ONE]))
    step("not committed", by="dvc repro")
    step("a teacher's result deleted", lambda: checkout.delete(TEACHER), wants=([TEACHER], TAUGHT), by="dvc repro", trains=[TEACHER])
    weights = next(checkout.folder(BASELINE).glob("*/weights.safetensors"))
    step("one of five files deleted", weights.unlink, wants=([BASELINE], [BASELINE]), by="dvc repro", trains=[BASELINE])
    step("a teacher's file `key` deleted", (checkout.folder(TEACHER) / "key").unlink, wants=((), TAUGHT), by="dvc repro")
    step("the manifest deleted", (root / "data" / "digits.manifest.json").unlink, wants=((), every), by="dvc repro")
    step("the data deleted", lambda: shutil.rmtree(root / "data" / "digits"), wants=NOTHING, by="dvc repro")
    step("all results deleted", lambda: shutil.rmtree(root / "results"), wants=(every, every), by="dvc checkout")
    step("DVC's cache lost", lambda: shutil.rmtree(root / ".dvc" / "cache"), by="dvc repro")
    step("times shuffled, no .snakemake", lambda: shuffle_times(checkout), wants=NOTHING, by="snakemake")
    step("shuffled again", lambda: shuffle_times(checkout), wants=NOTHING, by="dvc repro")
    for name in ("scratch", "logs", "plan"):
        shutil.rmtree(root / name)
    checkout.git("checkout", "--quiet", "plan")
    step("scratch/ and logs/ deleted, plan/ checked out", wants=NOTHING, by="snakemake")


def test_other_sets_of_runs(agreement: Agreement) -> None:
    checkout, step = agreement.checkout, agreement.step
    old = sorted(checkout.index())
    new = [run.removesuffix("0") + "1" for run in old]
    done = step("a seed added", lambda: checkout.edit("params.yaml", "seeds: null", "seeds: 2"), by="dvc repro", code=255, then=None)
    assert done.lines("plan/") == [OTHER_RUNS]
    step("the same command again", wants=(new, new), by="dvc repro", trains=new)
    done = step("the seed removed", lambda: checkout.edit("params.yaml", "seeds: 2", "seeds: null"), by="dvc repro", code=255, then=None)
    assert done.lines("plan/") == [OTHER_RUNS]
    step("the same command again", wants=NOTHING, by="dvc repro")
    checkout.commit()

    def choose(*arguments: str) -> None:
        checkout.okd("plan", "--scale", *arguments, "--save")

    demo = sorted(f"demo-{run}" for run in (ONE, BASELINE))
    step(
        "to scale demo",
        lambda: choose("demo"),
        wants=(demo, demo),
        by="snakemake",
        trains=demo,
        then=None,
    )
    assert checkout.okd("record", code=2).lines("dvc.lock holds real results only")
    assert not checkout.git("status", "--short", "dvc.lock").out
    step("back to scale paper", lambda: choose("paper"), wants=NOTHING, by="snakemake")
    step("and to demo, with what was done there", lambda: choose("demo"), by="snakemake", then=((), demo))
    step("one table chosen", lambda: choose("paper", "small-t2"), wants=NOTHING, by="dvc repro")


def test_clones(agreement: Agreement, tmp_path: Path) -> None:
    checkout = agreement.checkout
    every = sorted(checkout.index())
    with_remote(checkout, tmp_path).dvc("push")
    clone = Agreement(with_remote(checkout.clone(tmp_path / "clone"), tmp_path), agreement.rows)
    clone.step("fresh clone", wants=(every, every), by="dvc pull")
    clone.step("its times shuffled", lambda: shuffle_times(clone.checkout), wants=NOTHING, by="snakemake")
    clone.checkout.dvc("repro")
    assert clone.checkout.trained() == []
    assert not clone.checkout.git("status", "--short").out


def test_half_of_the_runs(agreement: Agreement, tmp_path: Path) -> None:
    checkout, step = agreement.checkout, agreement.step
    shutil.rmtree(checkout.root / "results")
    shutil.rmtree(checkout.root / ".dvc" / "cache")
    (checkout.root / "dvc.lock").unlink()
    every = sorted(checkout.index())
    others = [run for run in every if run not in TAUGHT]
    checkout.stub["STUB_FAIL"] = TEACHER
    step("a teacher fails", by="snakemake", trains=others, then=(TAUGHT, every), code=1)
    step("what there is committed", by="okd record", then=(TAUGHT, TAUGHT))
    checkout.commit()
    with_remote(checkout, tmp_path).dvc("push", code=None)
    clone = Agreement(with_remote(checkout.clone(tmp_path / "clone"), tmp_path), agreement.rows)
    clone.checkout.stub.clear()
    clone.step("in a second clone", by="dvc pull", code=1, then=None)
    clone.step("again", by="dvc pull --allow-missing", then=(TAUGHT, TAUGHT))
    clone.step("go on there", by="dvc repro", trains=TAUGHT)


def with_remote(checkout: Checkout, folder: Path) -> Checkout:
    checkout.dvc("remote", "add", "--local", "--default", "folder", str(folder / "remote"))
    return checkout
