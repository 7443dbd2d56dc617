"""Names never become anything but names: what people write arrives as text, or is refused."""

import re
from pathlib import Path

import pytest
from bad_files import PAPER, SCALES

from conftest import PARAMS, ROOT
from okd.cli.plan import plan
from okd.plan.paper import ID, read_papers
from okd.plan.settings import open_project
from okd.plan.source import Faults
from okd.plan.store import Index

VALUES = {
    "semicolon": "a; touch marker",
    "substitution": "$(touch marker)",
    "backquote": "`touch marker`",
    "quotes": "a'b\"c",
    "newline": "a\ntouch marker",
    "parent folder": "../../etc",
    "option": "-rf",
    "braces": "{config} ${results}",
    "format": "%s%n",
    "NUL": "a\0b",
    "right to left": "a\u202eb",
    "long": "x" * 300,
    "emoji": "\U0001f642",
    "blank": "a b",
}
FIELDS = {  # where a value stands, and whether any text may
    "title": ("A small paper", True),
    "row": ("      ResNet:", True),
    "column": ("      ONE:", True),
    "table": ("id: small-t1", False),
    "variant": ("ONE: {method: one}", False),
    "network": ("network: resnet8,", False),
}


def spelled(value: str) -> str:
    """In YAML's double quotes, where everything can be written."""
    return '"' + "".join(letter if letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in value) + '"'


def written(field: str, value: str) -> str:
    old, _ = FIELDS[field]
    quoted = spelled(value)
    new = {
        "title": quoted,
        "row": f"      {quoted}:",
        "column": f"      {quoted}:",
        "table": f"id: {quoted}",
        "variant": f"ONE: {{method: one, variant: {quoted}}}",
        "network": f"network: {quoted},",
    }[field]
    text = PAPER.replace(old, new)
    return text.replace("\n      ResNet: [", f"\n      {quoted}: [") if field == "row" else text


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "papers").mkdir()
    data = open_project(ROOT).settings.data.model_dump_json().replace('"', "").replace(":", ": ")
    (tmp_path / "params.yaml").write_text(PARAMS.format(scale="paper", data=data).replace("[tiny]", "[small]"))
    (tmp_path / "papers" / "small.yaml").write_text(PAPER)
    (tmp_path / "papers" / "scales.yaml").write_text(SCALES.replace("[small-t1/resnet/one]", "[]"))
    (tmp_path / "papers" / "margins.yaml").write_text("digits: 1.0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(folder: Path) -> bool:
    """Whether it was planned: then every name that an engine will see is one of ours. A refusal is one line for each fault."""
    lines = list[str]()
    try:
        plan()
    except Faults as faults:
        lines = [str(fault) for fault in faults.faults]
    if lines:
        assert [line for line in lines if not line.isprintable()] == []
        return False
    index = Index(folder)
    names = [*index.runs, *index.content["table_index"], *index.content["data_index"]]
    assert [name for name in names if not ID.fullmatch(name)] == []
    paths = [value for row in index.runs.values() for value in row.values()]
    assert [path for path in paths if not re.fullmatch(r"[a-z0-9.+/-]+", path) or ".." in path] == []
    assert sorted(file.stem for file in (folder / "plan" / "runs").iterdir()) == sorted(index.runs)
    return True


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_name_is_text_or_refused(field: str, value: str, checkout: Path) -> None:
    (checkout / "papers" / "small.yaml").write_text(written(field, value))
    free = FIELDS[field][1] and (field == "title" or re.search("[a-z0-9]", value) is not None)
    assert planned(checkout) == free
    assert not (checkout / "marker").exists()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_papers_file_is_named_so_or_refused(value: str, checkout: Path) -> None:
    name = value.replace("/", "").replace("\0", "")[:40]
    (checkout / "papers" / f"{name}.yaml").write_text(PAPER.replace("small-", "other-"))
    assert planned(checkout) == (ID.fullmatch(name) is not None), "nothing is wrong with what a file system takes of some of them"


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_target_is_known_or_refused(value: str, checkout: Path) -> None:
    (checkout / "params.yaml").write_text((checkout / "params.yaml").read_text().replace("[small]", f"[{spelled(value)}]"))
    assert not planned(checkout)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_text_arrives_unchanged(value: str, checkout: Path) -> None:
    (checkout / "papers" / "small.yaml").write_text(written("title", value))
    assert read_papers(checkout)["small"][0].title == value
