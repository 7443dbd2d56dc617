"""From papers to runs: sharing, names, scales, choices."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import TINY, make_project
from okd.cli.plan import plan
from okd.cli.tables import tables
from okd.plan.cells import OUR_FILES, merge, slug
from okd.plan.planner import Plan, make_plan
from okd.plan.published import Published
from okd.plan.settings import open_project, save_choice
from okd.plan.source import Faults
from okd.plan.store import Index, write_plan

ROOT = Path(__file__).resolve().parents[2]


def ids(plan: Plan) -> set[str]:
    return {run.id for run in plan.to_do}


def test_names_spell_what_the_cells_say(project: Path) -> None:
    assert ids(make_plan(open_project(project))) == {
        "tiny-digits-resnet-bottleneck-tiny-baseline-s0",
        "tiny-digits-resnet8-baseline-s0",
        "tiny-digits-resnet8-one-s0",
        "tiny-digits-resnet8-okddip-students.3-ramp-up.1-s0",
        "tiny-digits-resnet8-kd-s0",
    }


def test_a_recipe_changes_keys_and_not_names(project: Path) -> None:
    before = make_plan(open_project(project))
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("temperature: 3.0", "temperature: 4.0"))
    after = make_plan(open_project(project))
    assert ids(before) == ids(after)
    changed = {run for run in before.runs if before.runs[run].key != after.runs[run].key}
    assert changed == {"tiny-digits-resnet8-one-s0"}


def test_a_teachers_recipe_changes_its_student_too(project: Path) -> None:
    before = make_plan(open_project(project))
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("weight_decay: 5.0e-4", "weight_decay: 1.0e-4"))
    after = make_plan(open_project(project))
    assert all(before.runs[run].key != after.runs[run].key for run in before.runs)


def test_equal_cells_share_a_run(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("      KD:", "      Twin: {method: baseline}\n      KD:").replace('"1.0"', '"1.0", "1.0"'))
    plan = make_plan(open_project(project))
    cells = {cell.placed.column: cell.runs for cell in plan.cells}
    assert cells["Twin"] == cells["Baseline"]
    assert len(plan.to_do) == 5


def test_one_name_with_two_meanings_stops_the_plan(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(
        file.read_text()
        .replace("      KD:", "      Twin: {method: baseline, recipe: {epochs: 3}}\n      KD:")
        .replace('"1.0"', '"1.0", "1.0"')
    )
    with pytest.raises(Faults, match=r"tiny-t1/resnet-8/twin: differs from tiny-t1/resnet-8/baseline in recipe.*`variant`"):
        make_plan(open_project(project))
    file.write_text(file.read_text().replace("recipe: {epochs: 3}", "variant: e3, recipe: {epochs: 3}"))
    assert "tiny-digits-resnet8-baseline-e3-s0" in ids(make_plan(open_project(project)))


def test_joined_runs_are_disjoint(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    text = file.read_text().replace("      KD:", "      Join: {method: baseline, join: 2, statistic: ensemble}\n      KD:")
    file.write_text(text.replace('"1.0"', '"1.0", "1.0"').replace("seeds: 1", "seeds: 2"))
    cell = next(cell for cell in make_plan(open_project(project)).cells if cell.placed.column == "Join")
    seeds = [[int(run.rpartition("s")[2]) for run in replicate] for replicate in cell.replicates]
    assert seeds == [[0, 1], [2, 3]]


def test_a_branch_is_picked_like_any_student_and_trains_the_same_run(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(
        file.read_text().replace("      KD:", "      Third: {method: one, student: 2}\n      KD:").replace('"1.0"', '"1.0", "1.0"')
    )
    cells = {cell.placed.column: cell.runs for cell in make_plan(open_project(project)).cells}
    assert cells["Third"] == cells["ONE"]
    tables()
    others = [file.name for file in (project / "reports" / "data").iterdir() if not file.name.startswith(("tiny-t1.", "dataset-"))]
    assert {name.partition(".")[0] for name in others} == set(OUR_FILES)
    assert "tiny-t1/resnet-8/third" in (project / "reports" / "data" / "tiny-t1.json").read_text()


def test_targets_choose_and_wrong_ones_are_named(project: Path) -> None:
    plan = make_plan(open_project(project), targets=["tiny-t1/resnet-8/kd"])
    assert [run.id for run in plan.to_do] == ["tiny-digits-resnet-bottleneck-tiny-baseline-s0", "tiny-digits-resnet8-kd-s0"]
    with pytest.raises(Faults, match="nothing is called 'tiny-t2', did you mean 'tiny-t1'"):
        make_plan(open_project(project), targets=["tiny-t2"])


@pytest.mark.parametrize(("ramp_up", "shrunk"), [(25, 3), (24, 2), (4, 1), (0, 0)])
def test_scale_short_shrinks_every_length(ramp_up: int, shrunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a tenth, half up; what is there stays there, if only for an epoch."""
    paper = TINY.replace("epochs: 2", "epochs: 45").replace("[0.1, 1]", "[0.1, 15, 30]").replace("ramp_up: 1", f"ramp_up: {ramp_up}")
    root = make_project(tmp_path, monkeypatch, scale="short", paper=paper)
    run = make_plan(open_project(root)).runs["short-tiny-digits-resnet8-one-s0"]
    assert (run.recipe.epochs, run.recipe.lr, run.method.options["ramp_up"]) == (5, {"multistep": [0.1, 2, 3]}, shrunk)


def test_scale_demo_puts_siblings_on_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = TINY.replace("dataset: digits, network: resnet8", "dataset: cifar100, network: resnet32")
    plan = make_plan(open_project(make_project(tmp_path, monkeypatch, scale="demo", paper=paper)))
    run = plan.runs["demo-tiny-digits-resnet8-one-s0"]
    assert (run.dataset.name, run.networks[0].name, run.recipe.epochs) == ("digits", "resnet8", 2)


def test_saving_a_choice_keeps_comments(project: Path) -> None:
    file = project / "params.yaml"
    file.write_text("# the dials\n" + file.read_text().replace("scale: paper", "scale: paper   # how much"))
    assert save_choice(project, scale="demo", reproduce=["tiny-t1"]) == ["scale: demo", "reproduce: [tiny-t1]"]
    assert "# the dials" in file.read_text()
    assert re.search(r"scale: demo +# how much", file.read_text())
    assert save_choice(project, scale="demo", reproduce=["tiny-t1"]) == []


def test_a_method_that_the_demo_is_too_short_for_is_refused_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = TINY.replace("epochs: 2", "epochs: 45").replace("ONE: {method: one}", "ONE: {method: md, students: 2}")
    root = make_project(tmp_path, monkeypatch, paper=paper)
    with pytest.raises(Faults, match=r"tiny-t1/resnet-8/one\.t_d: at scale demo: t_in \+ t_d = \d+ epochs, but the run has 2"):
        make_plan(open_project(root), scale="demo")


LINES = """\ufeff# the dials
scale: 'paper'   # how much
reproduce:   # what
  - tiny
  - tiny-t1/resnet-8
# the rest

seeds: null
numerics: exact
budget: { device_hours:   24 }
devices: {slots: 2}
data: {accept: verified, folder: null, mirror: , root: null}   # ends without a line end"""


def test_saving_a_choice_touches_no_other_line(project: Path) -> None:
    """Nulls, spacing, a byte order mark, line ends and a symbolic link stay what they were; no target stands there twice."""
    file, real = project / "params.yaml", project / "elsewhere.yaml"
    real.write_bytes(LINES.replace("\n", "\r\n").encode())
    file.unlink()
    file.symlink_to(real)
    assert save_choice(project, scale="demo", reproduce=["tiny-t1", "tiny", "tiny-t1"]) == ["scale: demo", "reproduce: [tiny-t1, tiny]"]
    expected = LINES.replace("'paper'", "demo").replace(
        "reproduce:   # what\n  - tiny\n  - tiny-t1/resnet-8", "reproduce: [tiny-t1, tiny]   # what"
    )
    assert real.read_bytes().decode() == expected.replace("\n", "\r\n")
    assert file.is_symlink()
    assert open_project(project).settings.reproduce == ["tiny-t1", "tiny"]
    assert save_choice(project, scale="paper", reproduce=["010", "on"]) == ["scale: paper", 'reproduce: ["010", "on"]']
    assert open_project(project).settings.reproduce == ["010", "on"]


def test_a_target_that_is_typed_twice_is_saved_once(project: Path) -> None:
    plan(["tiny-t1", "tiny-t1"], save=True)
    assert "reproduce: [tiny-t1]\n" in (project / "params.yaml").read_text()
    plan()


def test_a_choice_without_runs_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves the folder that DVC's stage tables depends on."""
    file = project / "papers" / "scales.yaml"
    file.write_text(file.read_text().replace("cells: [tiny-t1]", "cells: [tiny-t1/resnet-8/kd]"))
    plan(["tiny-t1/resnet-8/one", "tiny-t1/resnet-8/baseline"], scale="demo", save=True)
    said = capsys.readouterr().err
    assert ": 0 runs, 0 done, 2 cells are not run at this scale; the whole papers: okd plan --scale paper tiny --save\n" in said
    assert (project / "results" / "demo").is_dir()


def test_the_demo_and_the_papers_are_whole_whatever_was_chosen_before() -> None:
    for target, scale in (("demo", "demo"), ("reproduce", "paper")):
        said = subprocess.run(["make", "-n", "-o", "setup", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f"okd plan --scale {scale} one okddip kdcl md --save\n" in said


def test_plan_files_are_only_written_when_they_change(project: Path) -> None:
    files = sorted((project / "plan").rglob("*.json"))
    before = [file.stat().st_mtime_ns for file in files]
    assert write_plan(project, make_plan(open_project(project))) is False
    assert [file.stat().st_mtime_ns for file in files] == before
    assert set(Index(project).runs) == {file.stem for file in files} - {"index"}


def test_layers_merge_but_a_schedule_is_replaced() -> None:
    base = {"recipe": {"lr": {"multistep": [0.1, 5]}, "epochs": 9}, "method": "one"}
    update = {"recipe": {"lr": {"cosine": 0.2}}}
    assert merge(base, update) == {"recipe": {"lr": {"cosine": 0.2}, "epochs": 9}, "method": "one"}


@pytest.mark.parametrize(
    ("label", "expected"),
    [("ResNet-32", "resnet-32"), ("w/o SA (random)", "w-o-sa-random"), ("OKDDip / br", "okddip-br"), ("x0.5", "x0.5")],
)
def test_slugs(label: str, expected: str) -> None:
    assert slug(label) == expected


@pytest.mark.parametrize(
    ("printed", "value", "spread", "decimals"),
    [
        ("28.76 +- 0.08", 28.76, 0.08, 2),
        ("27.12", 27.12, None, 2),
        ("23.09*", 23.09, None, 2),
        ("NaN", None, None, 0),
        ("0.5M", 0.5, None, 1),
    ],
)
def test_published_strings(printed: str, value: float | None, spread: float | None, decimals: int) -> None:
    parsed = Published.parse(printed)
    assert (parsed.value, parsed.spread, parsed.decimals, parsed.printed) == (value, spread, decimals, printed)


def test_the_demo_is_small_and_touches_every_built_method() -> None:
    plan = make_plan(open_project(ROOT), scale="demo")
    assert len(plan.to_do) <= 40
