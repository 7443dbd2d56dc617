"""What people write wrong: every fault in one go, where it stands, what is allowed; exit code 2 and nothing written."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from bad_files import FILES, GOOD, KEYS, NUMBERS, PAPER, SCALES, SYNTAX, TYPES, Bad
from bad_meanings import ABOUT_CELLS, CATALOG, CHOICES, DEMO, NAMES, RECIPE_MAPS, STRINGS, TOGETHER

from okd.cli.codes import Code, exit_code
from okd.cli.plan import plan
from okd.plan.catalog import read_catalog
from okd.plan.source import Faults

ROOT = Path(__file__).resolve().parents[2]
BAD = [*FILES, *SYNTAX, *KEYS, *TYPES, *NUMBERS, *CHOICES, *RECIPE_MAPS, *ABOUT_CELLS, *TOGETHER, *DEMO, *NAMES, *STRINGS]
THROUGH_THE_CLI = ("duplicate key", "alias bomb", "python object", "typo in a key", "epochs 0", "unknown method")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real dials and margins with a small paper; nothing is planned yet."""
    (tmp_path / "papers").mkdir()
    dials = (ROOT / "params.yaml").read_text()
    for name, value in (("scale", "paper"), ("reproduce", "[small]"), ("seeds", "null"), ("numerics", "exact")):
        dials = re.sub(rf"^{name}: [^#\n]*", f"{name}: {value}   ", dials, flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(dials)
    (tmp_path / "papers" / "small.yaml").write_text(PAPER)
    (tmp_path / "papers" / "scales.yaml").write_text(SCALES)
    shutil.copy(ROOT / "papers" / "margins.yaml", tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(folder: Path, bad: Bad) -> list[str]:
    """Make the file bad; return the lines that we must say."""
    path, line = folder / bad.file, 0
    if isinstance(bad.change, tuple):
        old, new = bad.change
        text = path.read_text()
        assert text.count(old) == 1, f"{bad.file} has {old!r} {text.count(old)} times"
        line = text.split(old)[0].count("\n") + 1
        path.write_text(text.replace(old, new))
    else:
        bad.change(path)
    return [says.format(file=bad.file, at=line, next=line + 1, top=_first_line(path)) for says in bad.says]


def _first_line(path: Path) -> int:
    if not path.is_file():
        return 0
    lines = path.read_bytes().decode(errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")), 0)


def tree(folder: Path) -> dict[str, str]:
    return {str(file): sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_files_are_refused_with_exactly_these_lines(bad: Bad, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = spoil(checkout, bad)
    before = tree(checkout)
    with pytest.raises(Faults) as caught:
        plan()
    assert exit_code(caught.value) == Code.USAGE
    assert capsys.readouterr().err.splitlines() == [f"okd: {line}" for line in expected]
    assert tree(checkout) == before


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.name in THROUGH_THE_CLI], ids=lambda bad: bad.name)
def test_the_command_line_says_the_same(bad: Bad, checkout: Path) -> None:
    expected = spoil(checkout, bad)
    before = tree(checkout)
    done = subprocess.run([sys.executable, "-m", "okd", "plan"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"okd: {line}" for line in expected]
    assert tree(checkout) == before
    assert not (checkout / "marker").exists()


@pytest.mark.parametrize(("file", "change"), GOOD.values(), ids=GOOD)
def test_what_only_looks_odd_passes(file: str, change: Callable[[Path], None], checkout: Path) -> None:
    change(checkout / file)
    plan()
    assert (checkout / "plan" / "index.json").is_file()


def test_as_many_files_are_bad_as_architecture_says() -> None:
    assert len({bad.name for bad in BAD}) == len(BAD) >= 60
    assert f"| {len(BAD)} bad files and {len(CATALOG)} bad catalogs (G1) |" in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_faults_of_several_files_are_said_at_once(checkout: Path) -> None:
    for file, old, new in (
        ("params.yaml", "numerics: exact", "numerics: exakt"),
        ("papers/small.yaml", "epochs: 2", "epochs: yes"),
        ("papers/small.yaml", "seeds: 1", "sede: 1"),
        ("papers/scales.yaml", "dataset: digits", "dataset: digit"),
        ("papers/margins.yaml", "mnist: 0.1", "mnist: 99"),
    ):
        text = (checkout / file).read_text()
        (checkout / file).write_text(text.replace(old, new))
    with pytest.raises(Faults) as caught:
        plan()
    files = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert files == ["papers/margins.yaml", "papers/scales.yaml", *["papers/small.yaml"] * 3, "params.yaml"], caught.value


def test_outside_of_a_project_okd_says_so(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "okd", "plan"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"okd: {tmp_path}: no params.yaml and papers/ here or above; run okd inside a checkout of the project\n"


@pytest.mark.parametrize(("old", "new", "says"), CATALOG.values(), ids=CATALOG)
def test_a_bad_catalog_is_refused(old: str, new: str, says: list[str], tmp_path: Path) -> None:
    text = (ROOT / "src" / "okd" / "catalog.yaml").read_text()
    assert text.count(old) >= 1, old
    file = tmp_path / "catalog.yaml"
    file.write_text(text.replace(old, new, 1))
    line = text.split(old, 1)[0].count("\n") + 1
    digits = text.split("  digits:\n", 1)[0].count("\n") + 1
    with pytest.raises(Faults) as caught:
        read_catalog(file)
    assert str(caught.value).splitlines() == [line_said.format(at=line, next=line + 1, digits=digits) for line_said in says]


@pytest.mark.parametrize("seed", range(5))
def test_no_damage_leads_to_anything_but_a_plan_or_a_fault(seed: int, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Characters lost, doubled, swapped or replaced in the files of a small project."""
    chance = random.Random(seed)
    files = [checkout / "params.yaml", checkout / "papers" / "small.yaml", checkout / "papers" / "scales.yaml"]
    good = {file: file.read_text() for file in files}
    refused = 0
    for _ in range(40):
        file = chance.choice(files)
        text, at = good[file], chance.randrange(len(good[file]))
        file.write_text(text[:at] + chance.choice(["", text[at] * 2, "\n", ":", "'", "[", "{", " ", "0", "-", "\t", "e"]) + text[at + 1 :])
        try:
            plan()
        except Faults:
            refused += 1
        file.write_text(text)
    assert refused > 5
    capsys.readouterr()
