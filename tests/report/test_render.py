"""The page: every state, nothing unescaped, nothing from outside."""

import re
from html.parser import HTMLParser

import pytest

from okd.evaluation.records import CellRecord, Measured, PaperRecord, RemarkRecord, RunRecord, Summary, TableRecord
from okd.report.render import STATES, render

NASTY = '<script>alert(1)</script>"><img src=x onerror=alert(1)>{{7*7}}'


def cell(state: str, column: str, text: str = "") -> CellRecord:
    measured = Measured(mean=25.5, spread=0.25, values=[25.25, 25.75]) if state in ("measured", "reduced", "diverged") else None
    return CellRecord(
        address=f"t/row/{column}",
        row="row",
        column=column,
        state=state,
        detail=text,
        statistic="student",
        unit="error",
        planned=2,
        ours=measured,
        best_epoch=measured,
        printed="25.63 +- 0.14",
        published=25.63,
        published_spread=0.14,
        decimals=2,
        runs=[RunRecord(id=f"run-{column}", key="0" * 12, seed=0, state="failed", detail=text, command="dvc repro train@x")],
    )


def page(text: str = "", scale: str = "demo") -> str:
    columns = [f"c{index}" for index, _ in enumerate(STATES)]
    cells = [cell(state, column, text) for state, column in zip(STATES, columns, strict=True)]
    table = TableRecord(
        id="t", paper="p", title=f"Table {text}", note=text, draw=None, unit="error", rows=["row"], columns=columns, cells=cells
    )
    remark = RemarkRecord(id="r", what=text, why=text, cells=[text])
    paper = PaperRecord(name="p", title=f"Paper {text}", source=text, tables=["t"], assumptions=[remark], deviations=[])
    return render(
        Summary(scale=scale, reproduce=["p"], papers=[paper], states=dict.fromkeys(STATES, 1), runs={"done": 1}, data=[text]), [table]
    )


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
    assert elements(page(NASTY)).tags == elements(page("plain")).tags
    assert "49" not in page(NASTY).replace("{{7*7}}", "")


def test_every_state_has_its_word_and_its_mark() -> None:
    text = page()
    for state, (mark, _) in STATES.items():
        assert state in text
        assert mark in text
    marks = [mark for mark, _ in STATES.values()]
    assert len(set(marks)) == len(marks)


def test_a_reduced_report_wears_its_ribbon() -> None:
    assert 'class="ribbon"' in page(scale="demo")
    assert 'class="ribbon"' in page(scale="short")
    assert 'class="ribbon"' not in page(scale="paper")


def test_the_page_needs_nothing_from_outside() -> None:
    text = page()
    found = elements(text)
    assert all(link.startswith("#") for link in found.links)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert not re.search(r"https?://|url\(", text)
    assert "Content-Security-Policy" in text


def test_every_link_has_its_place_once() -> None:
    found = elements(page())
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


@pytest.mark.parametrize("word", ["25.50 ± 0.25", "okd plan --scale paper t/row/c0 --save", "snakemake --cores", "dvc repro"])
def test_a_cell_shows_its_number_and_its_commands(word: str) -> None:
    assert word in page()


def test_the_same_data_gives_the_same_bytes() -> None:
    assert page("x") == page("x")
