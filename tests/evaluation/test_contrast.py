"""`okd diff`: what differs between two runs."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conftest import plan
from okd.cli import diff as diff_verb
from okd.evaluation.contrast import contrast, contrast_lines, find_run
from okd.plan.run import Run
from okd.plan.settings import open_project
from okd.plan.store import Places, write_json


def publish(project: Path, run: Run, *, correct: int, seconds: float = 3.0) -> Path:
    places = Places(project, run)
    places.result.mkdir(parents=True)
    for name in ("weights.safetensors", "predictions.npz", "history.csv"):
        (places.result / name).write_bytes(b"")
    (places.result / "spec.json").write_text(run.to_json())
    (places.folder / "key").write_text(f"{run.key}\n")
    result = {"key": run.key, "status": "done", "seconds": seconds, "test_images": 360, "test_correct": {"student_0": correct}}
    write_json(places.result / "result.json", result)
    return places.folder


def ids(project: Path) -> dict[str, str]:
    return {word: next(name for name in plan(project) if word in name) for word in ("resnet8-baseline", "resnet8-one")}


def test_specs_are_compared_setting_by_setting(project: Path) -> None:
    names = ids(project)
    sides = [find_run(open_project(project), name) for name in names.values()]
    found = contrast(*sides)
    assert found["spec"]["method.name"] == ["baseline", "one"]
    assert found["spec"]["method.options.temperature"] == ["-", 3.0]
    assert "recipe.epochs" not in found["spec"]
    assert "result" not in found
    assert contrast_lines(*sides)[0].endswith("no result here)")


def test_a_run_of_another_scale_needs_no_plan(project: Path) -> None:
    name = ids(project)["resnet8-one"]
    file = project / "papers" / "scales.yaml"
    file.write_text(file.read_text().replace("epochs: 2", "epochs: 3"))
    paper, demo = (find_run(open_project(project), one) for one in (name, f"demo-{name}"))
    assert contrast(paper, demo)["spec"] == {"recipe.epochs": [2, 3]}


def test_results_are_compared_by_error(project: Path) -> None:
    runs = plan(project)
    first, second = (runs[name] for name in ids(project).values())
    folder = publish(project, first, correct=324)
    publish(project, second, correct=342, seconds=9.0)
    found = contrast(find_run(open_project(project), str(folder)), find_run(open_project(project), second.id))
    assert found["errors"] == {"student_0": [10.0, 5.0]}
    assert found["result"] == {"test_correct.student_0": [324, 342]}  # seconds never agree


def test_equal_runs_say_so(project: Path) -> None:
    run = plan(project)[ids(project)["resnet8-one"]]
    folder = publish(project, run, correct=324)
    lines = contrast_lines(find_run(open_project(project), run.id), find_run(open_project(project), str(folder / run.key)))
    assert lines[2:] == ["the same run: equal keys", "spec: no difference", "result: no difference", "errors: no difference"]


def test_what_is_no_run_is_named(project: Path) -> None:
    with pytest.raises(ValueError, match=r"no run of any cell.*did you mean"):
        find_run(open_project(project), "tiny-digits-resnet8-onne-s0")
    with pytest.raises(ValueError, match=r"data: no spec\.json"):
        find_run(open_project(project), str(project / "data"))


def test_the_verb(project: Path) -> None:
    app = typer.Typer()
    diff_verb.register(app)
    shown = CliRunner().invoke(app, [*ids(project).values(), "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout)["spec"]["method.name"] == ["baseline", "one"]
