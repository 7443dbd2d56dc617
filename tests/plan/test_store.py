"""plan/ as somebody left it: edited, torn, of another version. One line says so, and `okd plan` mends it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from okd.cli.codes import Code, exit_code
from okd.cli.doctor import doctor
from okd.cli.plan import plan
from okd.cli.status import status
from okd.cli.train import train
from okd.plan.planner import make_plan
from okd.plan.settings import open_project
from okd.plan.store import Index, write_plan

RUN = "tiny-digits-resnet8-one-s0"
OTHER = "tiny-digits-resnet8-kd-s0"
ODD = "is damaged, edited or of another version: run `okd plan`"


def run_file(text: str | Callable[[str], str]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "runs" / f"{RUN}.json"
        file.write_text(text if isinstance(text, str) else text(file.read_text()))

    return change


def index(value: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "index.json").write_text(value if isinstance(value, str) else json.dumps(value))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty object": (run_file("{}"), f"plan/runs/{RUN}.json {ODD}"),
    "a list": (run_file("[]"), f"plan/runs/{RUN}.json {ODD}"),
    "a field more": (run_file(lambda text: text.replace('"id"', '"colour": "red",\n "id"', 1)), f"plan/runs/{RUN}.json {ODD}"),
    "another seed": (run_file(lambda text: text.replace('"seed": 0', '"seed": 1')), f"plan/runs/{RUN}.json {ODD}"),
    "torn": (run_file(lambda text: text[:-40]), f"plan/runs/{RUN}.json {ODD}"),
    "no text": (lambda folder: (folder / "runs" / f"{RUN}.json").write_bytes(b"\xff"), f"plan/runs/{RUN}.json {ODD}"),
    "another run's": (
        lambda folder: (folder / "runs" / f"{RUN}.json").write_text((folder / "runs" / f"{OTHER}.json").read_text()),
        f"plan/runs/{RUN}.json {ODD}",
    ),
    "missing": (lambda folder: (folder / "runs" / f"{RUN}.json").unlink(), f"plan/runs/{RUN}.json is missing: run `okd plan`"),
    "a torn index": (index('{"scale": "pap'), f"plan/index.json {ODD}"),
    "an empty index": (index(""), f"plan/index.json {ODD}"),
    "an index of lists": (index({"run_index": []}), f"plan/index.json {ODD}"),
    "an index of words": (index({"run_index": {RUN: "x"}}), f"plan/index.json {ODD}"),
    "an index of null": (index({"run_index": {RUN: {}}}), f"plan/index.json {ODD}"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_an_odd_plan_is_one_line_and_okd_plan_mends_it(case: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, says = SPOILT[case]
    good = {file.name: file.read_text() for file in (project / "plan").rglob("*.json")}
    spoil(project / "plan")
    for verb in (status, lambda: train(RUN)):
        with pytest.raises(ValueError, match="plan/") as caught:
            verb()
        assert exit_code(caught.value) == Code.USAGE
        assert capsys.readouterr().err == f"okd: {says}\n"
    with pytest.raises(typer.Exit):
        doctor()
    assert f"!   {says}; type: okd plan\n" in capsys.readouterr().out
    plan()
    assert {file.name: file.read_text() for file in (project / "plan").rglob("*.json")} == good
    assert Index(project).run(RUN).id == RUN


def test_a_plan_over_an_odd_index_is_another_plan(project: Path) -> None:
    made = make_plan(open_project(project))
    assert write_plan(project, made) is False
    index({"run_index": []})(project / "plan")
    assert write_plan(project, made) is True


def test_a_run_that_nobody_planned_is_named_with_its_neighbour(project: Path) -> None:
    with pytest.raises(ValueError, match=f"no planned run is called 'tiny-digits-resnet8-noe-s0', did you mean '{RUN}'"):
        train("tiny-digits-resnet8-noe-s0")
    with pytest.raises(ValueError, match="; `okd status` lists what is planned"):
        train("zzz")
