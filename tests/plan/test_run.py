"""Keys: what they depend on, and that the ones that exist never change."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from okd.plan.planner import make_plan
from okd.plan.run import Run
from okd.plan.settings import open_project

FROZEN = json.loads((Path(__file__).parent / "frozen_keys.json").read_text())


@pytest.mark.parametrize("pair", FROZEN, ids=lambda pair: pair["run"]["id"])
def test_frozen_specs_keep_their_keys(pair: dict) -> None:
    """A new field with a neutral default, or a refactoring, must not orphan anybody's results."""
    assert Run.from_json(json.dumps(pair["run"])).key == pair["key"] == pair["run"]["key"]


def runs(root: Path) -> list[Run]:
    return make_plan(open_project(root)).to_do


def test_a_run_survives_its_file(project: Path) -> None:
    for run in runs(project):
        assert Run.from_json(run.to_json()) == run


def test_a_run_file_that_was_edited_is_refused(project: Path) -> None:
    text = runs(project)[0].to_json().replace('"seed": 0', '"seed": 1')
    with pytest.raises(ValueError, match="is not that of its content"):
        Run.from_json(text)


def test_the_key_changes_with_the_spec_and_not_with_the_name(project: Path) -> None:
    run = runs(project)[0]
    assert replace(run, id="other", scale="short").key == run.key
    assert replace(run, seed=1).key != run.key
    assert replace(run, training=run.training + 1).key != run.key
    assert replace(run, recipe=replace(run.recipe, weight_decay=1e-4)).key != run.key


def test_neutral_fields_do_not_enter_the_key(project: Path) -> None:
    run = runs(project)[0]
    assert "dropout" not in run.spec["recipe"]
    assert "dropout" in replace(run, recipe=replace(run.recipe, dropout=0.5)).spec["recipe"]


def test_a_taught_run_follows_its_teachers_key(project: Path) -> None:
    taught = next(run for run in runs(project) if run.teacher)
    teacher = next(run for run in runs(project) if run.id == taught.teacher)
    assert taught.teacher_key == teacher.key
    assert replace(taught, teacher_key="0" * 12).key != taught.key
