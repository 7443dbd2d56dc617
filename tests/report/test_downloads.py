"""What can be taken away from a table."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from samples import NASTY, every_state

from conftest import ROOT
from okd.evaluation.tables import Evaluation
from okd.plan.planner import make_plan
from okd.plan.settings import open_project
from okd.report.downloads import downloads, latex, tex


def texts(text: str = "", scale: str = "paper") -> dict[str, str]:
    contents = every_state(text, scale)
    return downloads(contents.tables[0], contents.summary.papers[0], scale)


def test_latex_has_a_line_for_ours_and_one_for_theirs() -> None:
    lines = texts()["tex"].splitlines()
    assert lines[0] == "% needs \\usepackage{booktabs}"
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 3
    assert len({line.count(" & ") for line in rows}) == 1
    assert r"25.50 $\pm$ 0.25" in rows[1]
    assert r"25.63 $\pm$ 0.14" in rows[2]


def test_a_reduced_number_never_leaves_without_its_word() -> None:
    for ending in ("tex", "md"):
        assert "25.50" in texts(scale="demo")[ending]
        assert "these are not results" in texts(scale="demo")[ending]
        assert "these are not results" not in texts(scale="paper")[ending]


def test_nothing_in_a_string_is_markup() -> None:
    made = texts(NASTY)
    assert "<script>" not in made["md"].replace("\\<", "")
    assert tex("50% & a_b #1 {x} ~^\\") == r"50\% \& a\_b \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert not re.search(r"(?<!\\)[#&]", re.sub(" & ", "", re.sub(r"%.*", "", made["tex"])))


def test_bibtex_has_the_paper_and_us() -> None:
    made = texts()["bib"]
    assert made.count("@misc{") == 2
    assert "author = {A. Author and B. Author" in made
    assert "year = {2018}" in made


PREAMBLE = "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}\\begin{document}\n"


def compile_latex(folder: Path, *bodies: str) -> str:
    """The compiler's words, after it has made a PDF of documents that load what the first line of a download asks for."""
    program = next((name for name in ("pdflatex", "lualatex", "tectonic") if shutil.which(name)), None)
    if program is None:
        pytest.skip("no TeX here: the LaTeX downloads are not compiled")
    (folder / "t.tex").write_text(PREAMBLE + "\n\\clearpage\n".join(bodies) + "\\end{document}\n")
    options = [] if program == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([program, *options, "t.tex"], cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "t.pdf").stat().st_size > 1000
    return done.stdout


def test_latex_compiles(tmp_path: Path) -> None:
    compile_latex(tmp_path, texts(NASTY)["tex"])


def test_every_table_of_the_papers_compiles(tmp_path: Path) -> None:
    made = make_plan(open_project(ROOT), scale="paper")
    tables = Evaluation(ROOT, made, reproduce=[], evidence_only=True).tables()
    assert len(tables) >= 35
    compile_latex(tmp_path, *(latex(table, "paper") for table in tables))


def test_the_compiler_would_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"Misplaced alignment tab|Undefined control sequence"):
        compile_latex(tmp_path, "a & b \\splendid")
