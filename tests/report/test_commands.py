"""`okd tables` and `okd report` where they write, and what they leave alone."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import plan
from handmade import publish
from okd.cli.evidence import evidence
from okd.cli.report import report
from okd.cli.tables import tables


def test_a_page_of_evidence_alone_needs_neither_results_nor_its_data(project: Path) -> None:
    for run in plan(project).values():
        publish(project, run)
    evidence(list(plan(project)))
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("scale: paper", "scale: demo"))
    out = project / "reports" / "paper.html"
    tables(scale="paper", out=project / "scratch" / "paper", evidence_only=True)
    report(data=project / "scratch" / "paper", out=out)
    page = out.read_text()
    assert "rendered from committed evidence alone" in page
    assert 'href="data/' not in page
    assert 'class="ribbon"' not in page
    assert not (project / "reports" / "data").exists()


def test_a_short_run_fills_a_blank_of_the_evidence_page_and_is_never_judged(project: Path) -> None:
    params = project / "params.yaml"
    for scale in ("paper", "short"):
        params.write_text(re.sub("scale: .*", f"scale: {scale}", params.read_text(), count=1))
        runs = plan(project)
        chosen = [name for name in runs if "okddip" in name or (scale == "paper" and "resnet8-baseline" in name)]
        for name in chosen:
            publish(project, runs[name], wrong=36 if scale == "short" else 20)
        evidence(chosen[:1] if scale == "paper" else chosen)
    tables(scale="paper", out=project / "scratch" / "paper", evidence_only=True)
    with (project / "scratch" / "paper" / "tiny-t1.csv").open(newline="") as stream:
        states = {line["column"]: (line["state"], line["ours"], line["difference"]) for line in csv.DictReader(stream)}
    assert states["OKDDip"] == ("reduced", "10.0", "")
    assert states["Baseline"][0] == "too few seeds"
    assert {states[name][0] for name in ("Teacher", "ONE", "KD")} == {"not run"}


def test_a_page_links_the_data_that_lie_beside_it(project: Path) -> None:
    tables()
    report()
    assert 'href="data/tiny-t1.tex"' in (project / "reports" / "report.html").read_text()


def test_another_scale_never_goes_into_the_folder_of_this_one(project: Path) -> None:
    with pytest.raises(ValueError, match="need --out"):
        tables(scale="paper")
    with pytest.raises(ValueError, match="not one of demo, short, paper"):
        tables(scale="huge", out=project / "x")


def test_a_folder_with_other_things_in_it_is_left_alone(project: Path) -> None:
    with pytest.raises(ValueError, match="holds other files"):
        tables(out=project / "papers")
    assert (project / "papers" / "tiny.yaml").is_file()


def test_files_that_are_no_longer_wanted_go(project: Path) -> None:
    tables()
    (project / "reports" / "data" / "old.csv").write_text("x")
    tables()
    assert not (project / "reports" / "data" / "old.csv").exists()


def test_a_report_without_data_says_what_to_do(project: Path) -> None:
    with pytest.raises(ValueError, match="run `okd tables`"):
        report()


def test_a_kill_while_rendering_leaves_the_old_report(project: Path) -> None:
    tables()
    report()
    file = project / "reports" / "report.html"
    before = file.read_bytes()
    program = """
import os, signal
from pathlib import Path
from okd.plan.settings import write_atomically
def dies_half_way(stream):
    stream.write("half a page")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path("reports/report.html"), dies_half_way)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=project).returncode == -signal.SIGKILL
    assert file.read_bytes() == before
