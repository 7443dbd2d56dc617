"""An exported student: three files, a card that is true, three lines that load it."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from conftest import plan
from handmade import publish
from okd.cli.export import export
from okd.networks import build
from okd.plan.run import Run
from okd.plan.store import Places


@pytest.fixture
def run(project: Path) -> Run:
    """A finished run of ONE whose students are three known networks."""
    made = next(run for name, run in plan(project).items() if "resnet8-one" in name)
    publish(project, made, wrong=36)
    tensors = {
        f"student_{m}.{name}": tensor.clone() for m in range(3) for name, tensor in build("resnet8", 10, seed=m).state_dict().items()
    }
    save_file(tensors | {"teacher.gate": torch.zeros(1)}, Places(project, made).result / "weights.safetensors")
    return made


def test_the_cards_three_lines_load_the_student(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run.id, row="student_1", out=project / "there")
    monkeypatch.chdir(project / "there")
    (code,) = re.findall(r"```python\n(.*?)```", (project / "there" / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) == 3
    names: dict[str, torch.nn.Module] = {}
    exec(code, names)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(names["network"](images)[0], build("resnet8", 10, seed=1).eval()(images)[0])


def test_the_card_has_our_numbers_and_the_papers(project: Path, run: Run) -> None:
    export(run.id)
    folder = project / "export" / run.id
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "type: accuracy, value: 90.0000" in card
    assert "| tiny-t1/resnet-8/one |" in card
    assert "| 10.00 | 5.99\\* |" in card
    config = json.loads((folder / "config.json").read_text())
    assert (config["architecture"], config["num_classes"], config["row"], config["key"]) == ("resnet8", 10, "student_0", run.key)
    assert set(load_file(folder / "model.safetensors")) == set(build("resnet8", 10, seed=0).state_dict())


def test_the_cards_head_is_yaml_as_hugging_face_reads_it(project: Path, run: Run) -> None:
    export(run.id)
    _, head, _ = (project / "export" / run.id / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(head)
    (entry,) = card["model-index"]
    (result,) = entry["results"]
    assert (entry["name"], result["task"]["type"], result["dataset"]["name"]) == (run.id, "image-classification", "digits")
    assert result["metrics"] == [{"type": "accuracy", "value": 90.0, "name": "top-1 accuracy at the last epoch (percent)"}]
    assert card["tags"] == ["knowledge-distillation", "one"]


def test_what_is_not_there_is_not_exported(project: Path, run: Run) -> None:
    with pytest.raises(ValueError, match="there is no 'leader'"):
        export(run.id, row="leader")
    with pytest.raises(ValueError, match="no finished result here"):
        export(next(name for name in plan(project) if "okddip" in name))
    publish(project, run, status="diverged")
    with pytest.raises(ValueError, match="nothing to deploy"):
        export(run.id)
