"""The house rules that a machine can check: who imports whom, how long a file is, what README says is there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "okd"

# room -> rooms it may import (itself always)
ROOMS = {
    "plan": set(),
    "evaluation": {"plan"},
    "report": {"evaluation", "plan"},
    "data": {"plan"},
    "networks": set(),
    "distillation": {"plan", "data", "networks"},
    "training": {"plan", "data", "networks", "distillation"},
    "cli": {"plan", "evaluation", "report", "data", "networks", "distillation", "training"},
    "": {"cli"},
}
# inside distillation: file or folder -> what it may import there
DISTILLATION = {
    "types": set(),
    "losses": {"types"},
    "schedules": {"types"},
    "groups": {"types"},
    "teachers": {"types", "losses", "schedules", "teachers"},
    "methods": {"groups", "teachers", "schedules", "losses", "types"},
    "__init__": set(),
}
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(file: Path) -> str:
    parts = file.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(file: Path) -> set[str]:
    """Every module of ours that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "okd" else {node.module}
    return {name for name in found if name.split(".")[0] == "okd"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_rooms_import_only_what_they_may(file: Path) -> None:
    room = room_of(file)
    for name in imports_of(file):
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 and (SOURCE / parts[1]).is_dir() else ""
        assert target == room or target in ROOMS[room], f"{file.name} ({room}) imports {name}"
        if room == target == "distillation":
            own = file.relative_to(SOURCE / "distillation").parts[0].removesuffix(".py")
            inner = parts[2]
            assert inner == own or inner in DISTILLATION[own], f"distillation/{own} imports {name}"


def test_every_room_is_known() -> None:
    assert {room_of(file) for file in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ["plan", "evaluation", "report"])
def test_torch_free_rooms_run_where_torch_cannot_be_imported(room: str) -> None:
    modules = [".".join(("okd", *file.relative_to(SOURCE).with_suffix("").parts)) for file in FILES if room_of(file) == room]
    program = f"""
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{{name}} is forbidden here")
sys.meta_path.insert(0, Forbidden())
import importlib
for name in {modules!r}:
    importlib.import_module(name)
from pathlib import Path
from okd.plan.planner import make_plan
from okd.plan.settings import open_project
project = open_project(Path({str(ROOT)!r}))
plan = make_plan(project)
if {room!r} != "plan":
    from okd.evaluation.tables import Evaluation
    evaluation = Evaluation(project.root, plan, reproduce=[])
    tables = evaluation.tables()
if {room!r} == "report":
    from okd.report.render import render
    assert "</html>" in render(evaluation.summary(tables), tables)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_training_needs_no_slow_library() -> None:
    """A process costs what it imports: torch is enough."""
    program = (
        "import sys, okd.training.train, okd.cli.train\n"
        "slow = {'torchvision', 'sklearn', 'pandas', 'scipy', 'torch._dynamo.symbolic_convert', 'snakemake', 'dvc', 'jinja2'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 250


def test_readme_shows_the_tree_that_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    tree = text.split("```text\n", 1)[1].split("```", 1)[0]
    lines = tree.splitlines()
    named = {word.rstrip("/") for line in lines[:-1] for word in re.findall(r"^[ ]{0,2}(\S+)", line)} | set(lines[-1].split())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    top = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    generated = {"results", "scratch", "logs", "data"}
    assert top - named - {"src"} == set(), "in the tree, not in README"
    rooms = {room for room in ROOMS if room}
    assert named - top - generated - rooms - {"src/okd", "catalog.yaml", "costs.json"} == set(), "in README, not in the tree"
