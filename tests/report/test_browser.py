"""The page in a real browser: from a file, without a network, by keyboard, on a telephone, in the dark."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, axe_source, needs_browser
from samples import NASTY, as_large_as_the_papers, every_state

from okd.report.render import render_contents

pytestmark = [needs_browser, pytest.mark.slow]
PANEL = "cell-t--row--c3"
ENTER, ESCAPE, RIGHT, TAB = "\ue007", "\ue00c", "\ue014", "\ue004"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    contents = {
        "demo": every_state("words", "demo"),
        "paper": every_state("", "paper"),
        "nasty": every_state(NASTY),
        "large": as_large_as_the_papers(),
    }
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(render_contents(content), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in contents}


@pytest.mark.parametrize("name", ["paper", "nasty"])
def test_nothing_is_asked_for_but_the_file(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], PANEL)
    assert [url.partition("#")[0] for url in browser.requests()] == [pages[name].as_uri()]
    assert browser.run("return document.querySelectorAll('script').length") == 1


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["demo", "paper"])
def test_axe_finds_nothing(
    browser: Browser, pages: dict[str, Path], pytestconfig: pytest.Config, name: str, width: int, dark: bool
) -> None:
    assert pytestconfig.cache is not None
    source = axe_source(pytestconfig.cache.mkdir("axe"))
    browser.open(pages[name], PANEL, width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.violations(source) == []


@pytest.mark.parametrize("name", ["demo", "paper", "nasty", "large"])
def test_nothing_scrolls_sideways_on_a_telephone(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], PANEL, width=390)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("return document.documentElement.scrollWidth") <= 390


def test_every_value_is_there_without_javascript(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["paper"], PANEL, script=False)
    assert browser.driver.find_elements("tag name", "button") == []
    panel = browser.driver.find_element("id", PANEL)
    assert panel.is_displayed()
    assert "crosses ±0.5" in panel.text
    assert "okd plan --scale paper t/row/c3 --save" in panel.text
    shown = {cell.text for cell in browser.driver.find_elements("css selector", "table.results .value")}
    assert {"25.50 ± 0.25", "1.00 ± 0.25", "2.00 ± 0.25"} <= shown


def test_the_keyboard_reaches_a_cell_opens_it_and_comes_back(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["paper"])
    browser.run("document.querySelector('#at-cell-t--row--c0').focus()")
    browser.press(RIGHT, RIGHT, RIGHT, ENTER)
    assert browser.driver.find_element("id", PANEL).is_displayed()
    assert browser.run("return document.activeElement.id") == PANEL
    browser.press(ESCAPE)
    assert not browser.driver.find_element("id", PANEL).is_displayed()
    assert browser.run("return document.activeElement.id") == f"at-{PANEL}"
    browser.press(TAB)
    assert not browser.run("return document.activeElement.id").startswith("at-cell-t--"), "one tab stop a table"


def test_a_command_can_be_copied_and_a_figure_saved(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["paper"], PANEL)
    panel = browser.driver.find_element("id", PANEL)
    names = [button.get_attribute("aria-label") for button in panel.find_elements("tag name", "button")]
    assert names == [f"Copy: {text}" for text in ("okd plan --scale paper t/row/c3 --save", "snakemake --cores 4", "dvc repro")]
    assert len(browser.driver.find_elements("css selector", "figure.drawn > button")) == 7


def test_runs_can_be_filtered(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["paper"])
    browser.run("document.querySelector('#runs').parentElement.querySelector('details').open = true")
    box = browser.driver.find_element("css selector", "input[type=search]")
    lines = browser.driver.find_elements("css selector", "ul.filtered > li")
    assert all(line.is_displayed() for line in lines)
    box.send_keys("c3 done")
    assert [line.text.split()[0] for line in lines if line.is_displayed()] == ["okddip-cifar100-4xresnet32-t-row-c3"]


def test_print_shows_tables_and_ribbon_and_no_controls(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["demo"])
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.driver.find_element("class name", "ribbon").is_displayed()
    assert browser.driver.find_element("css selector", "table.results").is_displayed()
    assert not any(button.is_displayed() for button in browser.driver.find_elements("tag name", "button"))
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_two_thousand_runs_load_within_a_second(browser: Browser, pages: dict[str, Path]) -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        browser.open(pages["large"])
        browser.run("return document.body.offsetHeight")
        times.append(time.perf_counter() - started)
    assert min(times) <= 1.0


def test_the_page_names_no_address_of_the_web(pages: dict[str, Path]) -> None:
    assert not re.search(r"https?://", pages["nasty"].read_text())
