"""House rules against running what somebody else wrote: read from the syntax of every file of the tree."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
FILES = [name for name in TRACKED if (ROOT / name).is_file()]
PYTHON = [name for name in FILES if name.endswith(".py")]
RULES = [name for name in FILES if name.endswith(".smk") or Path(name).name == "Snakefile"]
TEMPLATES = [name for name in FILES if name.endswith(".j2")]

FORBIDDEN = {
    "pickle": {"load", "loads", "Unpickler"},
    "cPickle": {"load", "loads", "Unpickler"},
    "dill": {"load", "loads"},
    "joblib": {"load"},
    "shelve": {"open"},
    "marshal": {"load", "loads"},
    "os": {"system", "popen"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "tempfile": {"mktemp"},
}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader"}
# place -> why it may
ALLOWED = {
    ("src/okd/report/templates/figure.html.j2", "|safe"): "a picture that our own program drew",
    ("src/okd/report/render.py", "Markup"): "our own script, whose hash the page's policy names",
}
# DESIGN.md section 8, and what these need to be called by name
LIBRARIES = {
    *(
        "torch",
        "torchvision",
        "snakemake",
        "dvc",
        "pandas",
        "numpy",
        "jinja2",
        "pydantic",
        "typer",
        "rich",
        "safetensors",
        "pooch",
        "requests",
        "scipy",
    ),
    *("scikit-learn", "altair", "vl-convert-python", "pyyaml", "markupsafe"),
}
FORGERS = {"eval", "exec", "allow_pickle=True", "pickle.load", "pickle.loads"}  # tests make, and run, the attacks that they defend against


def python_faults(text: str) -> Iterator[str]:
    """What a Python file may not do."""
    tree = ast.parse(text)
    renamed = dict(_imported(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        keywords = {word.arg: word.value for word in node.keywords}
        true = {name for name, value in keywords.items() if isinstance(value, ast.Constant) and value.value is True}
        match node.func:
            case ast.Name(id=called):
                owner, _, name = renamed.get(called, called).rpartition(".")
            case ast.Attribute(attr=name, value=ast.Name(id=called)):
                owner = renamed.get(called, called)
            case ast.Attribute(attr=name):
                owner = "?"
            case _:
                continue
        if (owner in ("", "builtins") and name in ("eval", "exec")) or name in ("Markup", "extractall"):
            yield name
        if name in FORBIDDEN.get(owner, ()):
            yield f"{owner}.{name}"
        if owner == "torch" and name == "load" and "weights_only" not in true:
            yield "torch.load"
        if owner == "yaml" and name in ("load", "load_all", "unsafe_load", "full_load") and not _safe_loader(keywords.get("Loader")):
            yield "yaml.load"
        for option in {"shell", "allow_pickle"} & true:
            yield f"{option}=True"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What a name in this file means in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.asname, name.name) for name in node.names if name.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((name.asname or name.name, f"{node.module}.{name.name}") for name in node.names)


def _safe_loader(loader: ast.expr | None) -> bool:
    return isinstance(loader, ast.Attribute) and loader.attr in SAFE_LOADERS


def rule_faults(text: str) -> Iterator[str]:
    """Placeholders that would reach a shell unquoted, and rules that hold a program."""
    for shell in re.findall(r'shell:\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text):
        for placeholder in re.findall(r"(?<!\{)\{([^{}]+)\}", shell):
            if placeholder.startswith(("config", "params", "wildcards", "input", "output", "log")) and not placeholder.endswith(":q"):
                yield placeholder
    yield from re.findall(r"^\s+(run|script|notebook|wrapper):", text, re.MULTILINE)


def template_faults(text: str) -> Iterator[str]:
    yield from ("|safe" for _ in re.findall(r"\|\s*safe\b", text))
    yield from re.findall(r"autoescape false", text)


@pytest.mark.parametrize("name", PYTHON)
def test_no_python_file_runs_or_unpacks_what_others_wrote(name: str) -> None:
    free = FORGERS if name.startswith("tests/") else set[str]()
    assert [fault for fault in python_faults((ROOT / name).read_text()) if fault not in free and (name, fault) not in ALLOWED] == []


def test_rules_quote_what_they_hand_to_a_shell() -> None:
    assert {name: faults for name in RULES if (faults := list(rule_faults((ROOT / name).read_text())))} == {}


def test_templates_escape() -> None:
    faults = {(name, fault) for name in TEMPLATES for fault in template_faults((ROOT / name).read_text())}
    assert faults - set(ALLOWED) == set()


def test_dvc_stages_hand_only_names_that_we_made_to_a_shell() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert {name for command in commands for name in re.findall(r"\$\{([^}]*)\}", command)} <= {"key"}


def test_every_requirement_has_a_hash_and_there_is_one_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert len(pins) > 50
    assert [line.split()[0] for line in pins if not re.match(r"[\w.\[\]-]+==\S+.* --hash=sha256:[0-9a-f]{64}", line)] == []


def test_dependencies_are_those_of_the_design() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=!~ \[;]", line)[0].lower() for line in project["dependencies"]}
    assert names - LIBRARIES == set()


def test_actions_are_pinned_by_commit() -> None:
    files = [name for name in FILES if name.startswith(".github/")]
    used = [line for name in files for line in (ROOT / name).read_text().splitlines() if re.search(r"\buses:", line)]
    assert [line for line in used if not re.search(r"uses: (\./|\S+@[0-9a-f]{40}\b)", line)] == []


def test_every_exception_is_still_needed() -> None:
    found = {(name, fault) for name in PYTHON for fault in python_faults((ROOT / name).read_text())}
    found |= {(name, fault) for name in TEMPLATES for fault in template_faults((ROOT / name).read_text())}
    assert set(ALLOWED) - found == set()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import pickle\npickle.load(f)", "pickle.load"),
        ("from pickle import loads as read\nread(f)", "pickle.loads"),
        ("import pickle as p\np.load(f)", "pickle.load"),
        ("from torch import load\nload(f)", "torch.load"),
        ("torch.load(f)", "torch.load"),
        ("torch.load(f, weights_only=False)", "torch.load"),
        ("yaml.load(f)", "yaml.load"),
        ("yaml.load(f, Loader=yaml.UnsafeLoader)", "yaml.load"),
        ("archive.extractall(folder)", "extractall"),
        ("subprocess.run(x, shell=True)", "shell=True"),
        ("np.load(f, allow_pickle=True)", "allow_pickle=True"),
        ("os.system(x)", "os.system"),
        ("eval(x)", "eval"),
    ],
)
def test_the_rules_see_what_they_forbid(text: str, fault: str) -> None:
    assert list(python_faults(text)) == [fault]


def test_the_rules_let_pass_what_is_safe() -> None:
    safe = "torch.load(f, weights_only=True)\nyaml.load(f, Loader=yaml.BaseLoader)\nnp.load(f)\nnetwork.eval()\njson.load(f)"
    assert list(python_faults(safe)) == []
    assert list(rule_faults('rule a:\n    shell:\n        "x {params.a} {wildcards.b:q} {config[c]}"\n')) == ["params.a", "config[c]"]
    assert list(template_faults("{{ x | safe }}")) == ["|safe"]
