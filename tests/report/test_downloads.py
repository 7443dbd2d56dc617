"""What can be taken away from a table."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from samples import NASTY, every_state

from okd.report.downloads import downloads, tex


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


def test_latex_compiles(tmp_path: Path) -> None:
    program = next((name for name in ("pdflatex", "lualatex", "tectonic") if shutil.which(name)), None)
    if program is None:
        pytest.skip("no TeX here: the LaTeX downloads are not compiled")
    document = "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}\\begin{document}"
    (tmp_path / "t.tex").write_text(document + texts(NASTY)["tex"] + "\\end{document}")
    options = [] if program == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    subprocess.run([program, *options, "t.tex"], cwd=tmp_path, check=True, capture_output=True)
