"""The page: every state, nothing unescaped, nothing from outside."""

import hashlib
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from samples import NASTY, as_large_as_the_papers, cell, contents, every_state, table

from okd.report.costpoints import CostPoint, frontier
from okd.report.figures import heat_squares
from okd.report.phrases import look, sentence
from okd.report.render import render_contents
from okd.report.states import JUDGED, STATES, TONES
from okd.report.strip import strip


def page(text: str = "", scale: str = "demo") -> str:
    return render_contents(every_state(text, scale))


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.links, self.ids = list[str](), list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def elements(text: str) -> Elements:
    parser = Elements()
    parser.feed(text)
    return parser


def test_nothing_unescaped_reaches_the_page() -> None:
    drawn = {"svg", "g", "path", "text", "line", "rect", "defs", "clippath", "lineargradient", "stop"}  # ticks and legends vary with labels
    nasty, plain = ([tag for tag in elements(page(text)).tags if tag not in drawn] for text in (NASTY, "plain"))
    assert nasty == plain
    assert "49" not in page(NASTY).replace("{{7*7}}", "").replace("49", "", page("plain").count("49"))
    assert all(not link.startswith("javascript:") for link in elements(page(NASTY)).links)


def test_every_state_has_its_word_its_mark_and_its_look() -> None:
    text = page()
    for state, (mark, _) in STATES.items():
        assert state in text
        assert mark in text
    marks = [mark for mark, _ in STATES.values()]
    assert len(set(marks)) == len(marks)
    style = files("okd.report").joinpath("templates/style.css.j2").read_text()
    looks = dict(re.findall(r"^\.(s-[a-z-]+) \{ (.*) \}$", style, re.MULTILINE))
    assert set(looks) == {look(state) for state in STATES}
    for theme in zip(*TONES.values(), strict=True):
        assert len(set(theme)) == len(STATES) == len(TONES)
    in_grey = [re.sub(r"var\(--[a-z]+\)", "grey", rule) for rule in looks.values()]
    assert len(set(in_grey)) == len(in_grey)


def test_a_reduced_report_wears_its_ribbon() -> None:
    assert 'class="ribbon"' in page(scale="demo")
    assert 'class="ribbon"' in page(scale="short")
    assert 'class="ribbon"' not in page(scale="paper")


def test_the_page_needs_nothing_from_outside() -> None:
    text = page()
    found = elements(text)
    assert all(link.startswith(("#", "data/", "data:image/jpeg;base64,")) for link in found.links)
    assert sum(link.startswith("data:") for link in found.links) == found.tags.count("img") == 1, "the contact sheet"
    assert not {"link", "iframe", "object"} & set(found.tags)
    assert not re.search(r"https?://|url\((?!#)", text)


def test_the_only_script_is_the_one_that_the_policy_names() -> None:
    text = page(NASTY)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'")


def test_every_link_has_its_place_once() -> None:
    found = elements(page())
    assert {link.removeprefix("#") for link in found.links if link.startswith("#")} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


@pytest.mark.parametrize(
    "word", ["25.50 ± 0.25", "okd plan --scale paper t/row/c0 --save", "snakemake --cores", "dvc repro", "ab" * 8, "peak memory 3.00 GiB"]
)
def test_a_cell_shows_its_number_its_commands_and_its_weights(word: str) -> None:
    assert word in page()


def test_every_verdict_is_a_sentence_with_its_interval_and_its_margin() -> None:
    cells = [one for one in every_state().cells if one.state in JUDGED]
    assert all("90 % interval" in sentence(one) and "±0.5" in sentence(one) for one in cells)
    assert all("interval" not in sentence(one) or one.verdict for one in every_state().cells if one.state not in JUDGED)


def test_a_number_without_enough_seeds_shows_how_far_off_it_is_and_judges_nothing() -> None:
    (one,) = (cell for cell in every_state(scale="paper").cells if cell.state == "too few seeds")
    assert "\N{MINUS SIGN}0.13 points of error so far, less than the margin of ±0.5" in sentence(one)
    assert "no verdict" in sentence(one)
    drawn = strip(one)
    assert drawn is not None
    assert drawn.margin is not None
    assert drawn.interval is None


def test_an_undecided_cell_says_how_many_seeds_would_decide() -> None:
    (one,) = (cell for cell in every_state().cells if cell.state == "undecided")
    assert "about 9 would" in sentence(one)


def test_a_claim_without_training_is_no_reproduction() -> None:
    contents = every_state(scale="paper")
    assert contents.findings is not None
    free = [one.model_copy(update={"cells": [], "id": f"free-{one.id}"}) for one in contents.findings.claims]
    both = replace(contents, findings=contents.findings.model_copy(update={"claims": [*contents.findings.claims, *free]}))
    assert (len(both.trained), len(both.untrained)) == (6, 6)
    assert both.heading == "1 of 6 claims reproduced"
    only = replace(contents, findings=contents.findings.model_copy(update={"claims": free}))
    assert "claims reproduced" not in only.heading


def test_every_figure_has_a_title_a_description_and_its_data() -> None:
    text = page(scale="paper")
    for name in ("d", "h", "l", "s", "k", "agreement"):
        (figure,) = re.findall(rf'<figure class="drawn" id="figure-{name}".*?</figure>', text, re.DOTALL)
        assert 'role="img" aria-label="' in figure
        assert "<figcaption><strong>" in figure
        assert "<td" in figure
        assert "var(--" in figure
    assert not re.search(r"#[0-9a-fA-F]{6}", "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL)))


def test_the_same_data_gives_the_same_bytes() -> None:
    assert page("x") == page("x")


def test_two_thousand_runs_stay_small() -> None:
    contents = as_large_as_the_papers()
    assert len(contents.runs) >= 2000
    started = time.perf_counter()
    page = render_contents(contents)
    assert time.perf_counter() - started < 20
    assert len(page.encode()) <= 3_000_000


@pytest.mark.slow
def test_two_thousand_runs_fit_in_memory_and_give_the_same_bytes_in_any_process() -> None:
    """Two processes that differ in all that must not matter. Their own peak is VmHWM; ru_maxrss begins with the parent's."""
    program = """
import hashlib
from pathlib import Path
from samples import as_large_as_the_papers
from okd.report.render import render_contents
page = render_contents(as_large_as_the_papers())
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(hashlib.sha256(page.encode()).hexdigest(), int(peak.split()[1]) * 1024)
"""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1] / "src")])
    found = []
    for seed, zone, language, folder in (("1", "UTC", "C.UTF-8", here), ("2", "Asia/Kathmandu", "C", here.parent)):
        environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language}
        done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
    assert found[0][0] == found[1][0]
    assert all(int(memory) < 1e9 for _, memory in found)


def test_a_grid_crosses_what_diverged() -> None:
    cells = [cell("measured", "1", table="g", row="m1"), cell("diverged", "2", table="g", row="m1")]
    printed = [
        cells[0].model_copy(update={"printed": "25.63", "published": 25.63}),
        cells[1].model_copy(update={"printed": "NaN", "published": None, "ours": None}),
    ]
    squares = heat_squares(table("g", printed, draw="heatmap"))
    assert [(one.source, one.column, one.text) for one in squares] == [
        ("ours", "1", "25.50"),
        ("published", "1", "25.63"),
        ("ours", "2", "\N{MULTIPLICATION SIGN}"),
        ("published", "2", "\N{MULTIPLICATION SIGN}"),
    ]
    text = render_contents(contents([table("g", printed, draw="heatmap")]))
    assert text.count("\N{MULTIPLICATION SIGN}</text>") == 2
    assert "The paper prints NaN: its run diverged, as ours did." in text


def test_a_paper_that_prints_nan_prints_something() -> None:
    """What the panel says of our run must not deny what it says of the paper's."""
    one = cell("measured", "c", table="g").model_copy(update={"printed": "NaN"})
    assert sentence(one).endswith("no number to hold them against. The paper prints NaN: its run diverged, ours did not.")
    near_chance = cell("diverged", "c", table="g").model_copy(update={"printed": "NaN", "published": None})
    assert sentence(near_chance).endswith("The paper prints NaN: its run diverged, as ours did.")
    assert [one.text for one in heat_squares(table("g", [near_chance]))] == ["\N{MULTIPLICATION SIGN}"] * 2


def test_a_panel_names_the_remarks_that_touch_its_cell() -> None:
    """By address, row or table, and no neighbour whose name begins alike."""
    whole = every_state()
    (paper,) = whole.summary.papers
    (remark,) = paper.deviations
    touch = {"whole": ["t"], "row": ["t/row"], "cell": ["t/row/c1"], "alike": ["t/ro", "t/row/c"], "other": ["d"]}
    remarks = [remark.model_copy(update={"id": name, "cells": cells}) for name, cells in touch.items()]
    papers = [paper.model_copy(update={"deviations": remarks})]
    changed = replace(whole, summary=whole.summary.model_copy(update={"papers": papers}))
    found = {one.column: [remark.id for remark in changed.touching(one, "deviations")] for one in changed.tables[0].cells}
    assert found["c1"] == ["whole", "row", "cell"]
    assert found["c2"] == found["c10"] == ["whole", "row"]
    text = render_contents(changed)
    assert 'href="#deviations-p-whole">whole</a>' in text
    assert '<dt id="deviations-p-whole">whole</dt>' in text
    sentence = f'4 of {len(remarks)} <a href="#deviations">deviations</a> touch them or their tables'
    assert sentence in text, "of the table's own and another's, all but the two that only begin alike"


def test_the_frontier_is_what_nothing_beats_in_both() -> None:
    points = [
        CostPoint("R", name, "ours", cost, error)
        for name, cost, error in (("a", 1, 9), ("b", 2, 9.5), ("c", 3, 5), ("d", 3, 6), ("e", 9, 4))
    ]
    assert [point.row for point in frontier(points)] == ["a", "c", "e"]


def test_a_name_that_is_two_networks_says_so() -> None:
    text = page(scale="paper")
    assert '<span class="soft">P: x, Q: y</span>' in text
    assert "and no measure of chance" in text
    assert "ardstick" not in text


def test_ranks_are_said_under_their_table() -> None:
    words = "2 of 3 pairs that the paper separates (by two standard errors, or by more than the margin where no ± is printed) keep"
    assert words in page()


def test_data_sets_are_shown_with_what_is_known_of_them() -> None:
    text = page("as the user says")
    (section,) = re.findall(r'<section aria-labelledby="data">.*?</section>', text, re.DOTALL)
    for words in ("50,000 images", "0.5071 ", 'class="published">published 0.5071', "ant 20000+20000", "bee as the user says 30000+30000"):
        assert words in section, words
    assert section.count("(data not verified)") == 1
    assert section.count("NOT known to be the official data: results on it are never judged") == 1
    assert 'alt="Contact sheet of Images as the user says. All of them as the user says."' in section
    assert "Not fetched here: as the user says" in section
    assert '<a href="#data">' in text
