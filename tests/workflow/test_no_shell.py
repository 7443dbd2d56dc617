"""What people write never reaches a shell, whichever engine runs."""

import json
import re
from pathlib import Path

import pytest
from small import make_checkout

VALUES = ["a; touch marker", "$(touch marker) `touch marker`", "a'\"b\n${results} {config[x]} %s"]
NAMES = ["$(touch marker)", *(pytest.param(name, marks=pytest.mark.slow) for name in ("a;touch marker;.x", "{config}"))]


@pytest.mark.parametrize("value", [VALUES[1], *(pytest.param(value, marks=pytest.mark.slow) for value in (VALUES[0], VALUES[2]))])
@pytest.mark.parametrize("by", ["snakemake", pytest.param("dvc", marks=pytest.mark.slow)])
def test_text_of_papers_reaches_the_report_and_no_shell(value: str, by: str, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    quoted = json.dumps(value)
    file = checkout.root / "papers" / "small.yaml"
    text = re.sub(r"authors: \w+", lambda _: f"authors: {quoted}", file.read_text().replace("A small paper", quoted))
    first, second = text.split("  - id: small-t2")
    file.write_text(f"{first}  - id: small-t2{second.replace('ResNet:', f'{quoted}:')}")
    checkout.okd("plan", "small-t2", "--save")
    if by == "snakemake":
        checkout.snakemake()
    else:
        checkout.dvc("repro")
    assert len(checkout.trained()) == 2
    assert not list(checkout.root.rglob("marker"))
    table = json.loads((checkout.root / "reports" / "data" / "small-t2.json").read_text())
    assert table["rows"] == [value]
    assert "touch marker" in (checkout.root / "reports" / "report.html").read_text() or "touch" not in value


@pytest.mark.parametrize("name", NAMES)
def test_a_papers_name_reaches_no_shell(name: str, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    (checkout.root / "papers" / f"{name}.yaml").write_text((checkout.root / "papers" / "small.yaml").read_text())
    for command, code in ((("snakemake", "--cores", "1"), 2), (("dvc", "repro"), 255)):
        said = checkout.run(*command, code=code).lines()
        assert said == [f"okd: papers/{name}.yaml: is not named by a-z, 0-9 and . + -"]
    assert not list(checkout.root.rglob("marker"))
