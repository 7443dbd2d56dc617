"""Every number on the page is the CSV's, and the CSV is what the raw predictions say."""

import csv
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

from conftest import plan
from handmade import publish
from okd.cli.tables import write_tables
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.settings import open_project
from okd.plan.store import Places, write_json
from okd.report.render import read_data, render_contents

CELL = re.compile(r'<a id="at-[^"]*" href="#cell-([^"]*)">(.*?)</a>', re.DOTALL)
VALUE = re.compile(r'class="value">([^<]*)<')
GAP = re.compile(r'class="gap">([^<]*)<')
PUBLISHED = re.compile(r'class="published">([^<]*)<')


def rendered(project: Path) -> tuple[str, list[dict[str, str]]]:
    """The page and the lines of the table's CSV."""
    evaluation = Evaluation(project, make_plan(open_project(project)), reproduce=["tiny"])
    folder = project / "reports" / "data"
    write_tables(folder, evaluation)
    with (folder / "tiny-t1.csv").open(newline="") as stream:
        return render_contents(read_data(folder, seen_from=project / "reports")), list(csv.DictReader(stream))


def three_seeds(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3").replace("title: Error", "draw: curves\n    title: Error"))
    for index, run in enumerate(plan(project).values()):
        publish(project, run, wrong=20 + 3 * index)


def error_of(file: Path, rows: list[str]) -> float:
    """Counted anew, by other code than ours."""
    with np.load(file) as archive:
        labels = archive["labels"]
        return float(np.mean([100 * np.mean(archive[f"{row}_top5"][:, 0] != labels) for row in rows]))


def test_the_page_shows_what_the_csv_says(project: Path) -> None:
    three_seeds(project)
    page, lines = rendered(project)
    shown = {address.replace("--", "/"): text for address, text in CELL.findall(page)}
    assert set(shown) == {line["address"] for line in lines if line["state"] != "paper blank"}
    for line in lines:
        decimals = len(line["printed"].split()[0].strip("*").partition(".")[2]) if line["published"] else 2
        mean, spread = (f"{float(line[name]):.{decimals}f}" for name in ("ours", "spread"))
        text = shown[line["address"]]
        (value,) = VALUE.findall(text)
        assert value == f"{mean} ± {spread}"
        gap = f"{float(line['difference']):+.{max(decimals, 2)}f}".replace("-", "\N{MINUS SIGN}") if line["difference"] else ""
        assert GAP.findall(text) == ([gap] if gap else [])
        assert html.unescape(PUBLISHED.findall(text)[0]) == (line["printed"].replace("+-", "±") or "no printed value")


def test_the_csv_says_what_the_raw_results_say(project: Path) -> None:
    three_seeds(project)
    _, lines = rendered(project)
    runs = plan(project)
    rows = {"baseline": ["student_0"], "one": ["student_0", "student_1", "student_2"], "okddip": ["leader"], "kd": ["student_0"]}
    for line in lines:
        column = line["address"].rpartition("/")[2]
        network = "resnet-bottleneck-tiny" if column == "teacher" else "resnet8"
        method = "baseline" if column == "teacher" else column
        chosen = [run for name, run in runs.items() if f"{network}-{method}-" in name]
        values = [error_of(Places(project, run).result / "predictions.npz", rows[method]) for run in chosen]
        assert len(values) == 3
        assert float(line["ours"]) == pytest.approx(np.mean(values), abs=1e-6)
        assert float(line["spread"]) == pytest.approx(np.std(values, ddof=1), abs=1e-6)


def test_curves_are_the_histories(project: Path) -> None:
    three_seeds(project)
    page, lines = rendered(project)
    with (project / "reports" / "data" / "tiny-t1.figure.csv").open(newline="") as stream:
        curves = list(csv.DictReader(stream))
    last = {line["address"]: float(line["mean"]) for line in curves if line["epoch"] == "1"}
    assert last == pytest.approx({line["address"]: float(line["ours"]) for line in lines}, abs=1e-3)
    assert all(float(line["low"]) <= float(line["mean"]) <= float(line["high"]) for line in curves)
    assert 'href="data/tiny-t1.figure.csv"' in page


def test_the_manifest_holds_the_hash_of_every_file(project: Path) -> None:
    three_seeds(project)
    page, _ = rendered(project)
    folder = project / "reports" / "data"
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.name != "manifest.json"}
    linked = set(re.findall(r'href="data/([^"]*)"', page))
    assert linked <= {file.name for file in folder.iterdir()}
    assert {f"tiny-t1.{ending}" for ending in ("csv", "json", "tex", "md", "bib")} <= linked


def test_the_same_results_give_the_same_bytes(project: Path) -> None:
    three_seeds(project)
    first, _ = rendered(project)
    hashes = (project / "reports" / "data" / "manifest.json").read_bytes()
    second, _ = rendered(project)
    assert first == second
    assert (project / "reports" / "data" / "manifest.json").read_bytes() == hashes


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"key": "KEY"}',
        '{"key": "KEY", "status": "splendid", "version": 99}',
        '{"key": "KEY", "status": "done", "sha256": 3}',
    ],
    ids=["empty", "torn", "list", "only a key", "future", "wrong types"],
)
def test_a_damaged_result_is_shown_and_stops_nothing(project: Path, damage: str) -> None:
    for run in plan(project).values():
        publish(project, run)
        if "one" in run.id:
            (Places(project, run).result / "result.json").write_text(damage.replace("KEY", run.key))
    page, lines = rendered(project)
    assert "</html>" in page
    assert {line["state"] for line in lines if line["column"] == "ONE"} <= {"failed", "not run"}


def test_a_failure_without_words_is_a_failure(project: Path) -> None:
    run = next(run for name, run in plan(project).items() if "one" in name)
    write_json(Places(project, run).failure, {"error": ""})
    page, lines = rendered(project)
    assert [line["state"] for line in lines if line["column"] == "ONE"] == ["failed"]
    assert f"dvc repro train@{run.id}" in page


def test_unverified_data_are_never_judged(project: Path) -> None:
    for run in plan(project).values():
        publish(project, run)
        file = Places(project, run).result / "result.json"
        write_json(file, json.loads(file.read_text()) | {"data_verified": False})
    _, lines = rendered(project)
    assert {line["state"] for line in lines} == {"data not verified"}
