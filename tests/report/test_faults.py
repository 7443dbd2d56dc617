"""The report in trouble: nothing has run, some has, files lie, strings are hostile, the writer is killed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from samples import NASTY

from conftest import TINY, make_project, plan
from handmade import publish
from okd.cli.report import report
from okd.cli.tables import tables
from okd.plan.run import Run
from okd.plan.store import Places, write_json
from okd.report.render import read_data


def rendered(project: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """What the two verbs write: the page, and the CSV's lines by column."""
    tables()
    report()
    with (project / "reports" / "data" / "tiny-t1.csv").open(newline="") as stream:
        lines = {line["column"]: line for line in csv.DictReader(stream)}
    return (project / "reports" / "report.html").read_text(), lines


def of(project: Path, word: str) -> Run:
    return next(run for name, run in plan(project).items() if word in name)


def states(lines: dict[str, dict[str, str]]) -> set[str]:
    return {line["state"] for line in lines.values()}


def test_without_a_run_the_published_values_stand(project: Path) -> None:
    page, lines = rendered(project)
    assert "Nothing has been trained yet" in page
    assert states(lines) == {"not run"}
    assert "6.34 ± 0.03" in page


def test_one_run_is_shown_and_not_judged(project: Path) -> None:
    publish(project, of(project, "resnet8-baseline"), wrong=25)
    page, lines = rendered(project)
    assert lines["Baseline"]["state"] == "too few seeds"
    assert float(lines["Baseline"]["ours"]) == pytest.approx(100 * 25 / 360)
    assert "+0.60 points of error so far, less than the margin of ±1" in page
    assert states(lines) == {"too few seeds", "not run"}


def test_missing_seeds_are_counted(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3"))
    for name, run in plan(project).items():
        if name.endswith(("-s0", "-s2")):
            publish(project, run)
    page, lines = rendered(project)
    assert states(lines) == {"too few seeds"}
    assert {line["n"] for line in lines.values()} == {"2"}
    assert "too few seeds 2/3" in page
    assert "seed 2:" in page


def test_a_diverged_run_is_counted_and_enters_no_mean(project: Path) -> None:
    file = project / "papers" / "tiny.yaml"
    file.write_text(file.read_text().replace("seeds: 1", "seeds: 3"))
    for name, run in plan(project).items():
        publish(project, run, wrong=36, status="diverged" if name.endswith("resnet8-one-s1") else "done")
    page, lines = rendered(project)
    assert lines["ONE"]["state"] == "diverged"
    assert float(lines["ONE"]["ours"]) == pytest.approx(10.0)
    assert "1 of 3 runs: soft was not finite at step 7 (epoch 0)" in page
    assert "nan" not in (project / "reports" / "data" / "tiny-t1.csv").read_text().lower()
    assert "Failed runs (1)" in page


def test_a_running_trainer_is_shown_while_it_runs(project: Path) -> None:
    run = of(project, "resnet8-one")
    write_json(Places(project, run).progress, {"epoch": 1, "epochs": 2, "updated": time.time()})
    page, lines = rendered(project)
    assert lines["ONE"]["state"] == "running"
    assert "epoch 1 of 2" in page
    write_json(Places(project, run).progress, {"epoch": 1, "epochs": 2, "updated": time.time() - 3600})
    assert rendered(project)[1]["ONE"]["state"] == "not run"


def test_two_results_of_one_id_are_not_mixed_up(project: Path) -> None:
    run = of(project, "resnet8-one")
    publish(project, run, wrong=20)
    other = Places(project, run).folder / ("0" * 12)
    other.mkdir()
    for file in Places(project, run).result.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    record = json.loads((other / "result.json").read_text())
    write_json(other / "result.json", record | {"key": "0" * 12, "test_correct": dict.fromkeys(record["test_correct"], 0)})
    assert float(rendered(project)[1]["ONE"]["ours"]) == pytest.approx(100 * 20 / 360)


def test_evidence_of_a_method_that_nobody_knows_is_stale(project: Path) -> None:
    run = of(project, "resnet8-one")
    spec = json.loads(json.dumps(run.spec))
    spec["method"]["name"] = "splendid"
    write_json(project / "reports" / "evidence" / f"{run.id}.{'0' * 12}.json", {"version": 1, "spec": spec, "key": "0" * 12})
    page, lines = rendered(project)
    assert lines["ONE"]["state"] == "stale"
    assert "method name splendid, now one" in page


@pytest.mark.parametrize("file", ["summary.json", "claims.json", "same-experiment.json"])
def test_data_of_a_future_version_are_refused_with_a_way_out(project: Path, file: str) -> None:
    tables()
    place = project / "reports" / "data" / file
    write_json(place, json.loads(place.read_text()) | {"version": 99})
    with pytest.raises(ValueError, match="run `okd tables`"):
        read_data(project / "reports" / "data")


@pytest.mark.slow
def test_twelve_hundred_results_stay_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"      Row {index}: {{recipe: {{weight_decay: 0.000{index + 1}}}, variant: v{index}}}\n" for index in range(4))
    text = TINY.replace("seeds: 1\n", "seeds: 100\n").replace("      ResNet-8: {}\n", rows)
    text = text[: text.index("    published")].replace("      Teacher: {network: resnet-bottleneck-tiny, method: baseline}\n", "")
    project = make_project(tmp_path, monkeypatch, paper=text[: text.index("      KD:")])
    runs = plan(project)
    assert len(runs) == 1200
    for run in runs.values():
        publish(project, run)
    started = time.process_time()
    page, lines = rendered(project)
    assert time.process_time() - started < 60
    assert len(page.encode()) < 3_000_000
    assert states(lines) == {"measured"}


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.text = list[str](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not any(name.startswith("on") or (value or "").startswith(("javascript:", "http")) for name, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_strings_in_a_paper_and_a_run_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the files that people write to the page, through both verbs; the same page with plain words is the control."""
    pages = {}
    for name, words in (("plain", "plain words"), ("nasty", NASTY)):
        quoted = json.dumps(words)
        paper = TINY.replace("title: A small paper", f"title: {quoted}").replace("authors: Nobody", f"authors: {quoted}")
        paper = paper.replace("title: Error on the digits", f"title: {quoted}\n    note: {quoted}")
        paper = paper.replace('"5.99*"', json.dumps(re.sub("[0-9]", "", words)))  # with a digit it would have to be a number
        paper += f"assumptions: [{{id: a, what: {quoted}, why: {quoted}}}]\n"
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name, monkeypatch, paper=paper)
        publish(project, of(project, "resnet8-baseline"))
        file = Places(project, of(project, "resnet8-baseline")).result / "result.json"
        write_json(file, json.loads(file.read_text()) | {"device": words})
        write_json(Places(project, of(project, "resnet8-okddip")).failure, {"error": words})
        pages[name] = Tags(rendered(project)[0])
    assert pages["nasty"].found == pages["plain"].found
    assert NASTY in pages["nasty"].text
    assert "{{7*7}}" in pages["nasty"].text


@pytest.mark.slow
def test_a_renderer_killed_at_any_moment_leaves_the_old_page_or_the_whole_new_one(project: Path) -> None:
    tables()
    report()
    file = project / "reports" / "report.html"
    old = file.read_bytes()
    publish(project, of(project, "resnet8-baseline"))
    tables()
    program = "from okd.cli.report import report; print('ready', flush=True); report()"
    seen = set()
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 30.0):
        with subprocess.Popen([sys.executable, "-c", program], cwd=project, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
        content = file.read_bytes()
        assert content == old or content.endswith(b"</html>") or content.rstrip().endswith(b"</html>")
        seen.add(content == old)
    assert seen == {True, False}, "killed early it leaves the old page, not killed it writes the new one"
