"""What `okd train` refuses before it starts or locks anything, and how it ends when a process of its own did."""

from pathlib import Path

import pytest

from conftest import TINY, make_project
from okd.cli.codes import Code, exit_code
from okd.cli.train import train
from okd.training.distributed.launch import Ended
from okd.training.distributed.place import Split

MD, ONE = "tiny-digits-2xresnet8-md-s0", "tiny-digits-resnet8-one-s0"
PAPER = TINY.replace("      KD:", "      MD: {method: md}\n      KD:").replace('"1.0"', '"1.0", "1.0"')
PAPER = PAPER.replace("methods:\n", "methods:\n  md: {t_in: 1, t_d: 1}\n")


@pytest.mark.parametrize(
    ("run", "words", "says"),
    [
        (MD, {"processes": 3, "split": Split.STUDENTS}, f"{MD}: 2 students cannot live on 3 nodes"),
        (MD, {"exchange": Path("meet"), "node": "0/5"}, f"{MD}: 2 students cannot live on 5 nodes"),
        (ONE, {"exchange": Path("meet"), "node": "0/2"}, f"{ONE}: one needs all students in every step; only MD's and EC-DNN's"),
        (MD, {"node": "5/2"}, "--node 5/2: say --exchange FOLDER, too, where the nodes meet"),
        (MD, {"exchange": Path("meet")}, "--exchange meet: say --node I/N, too, which node this is"),
        (
            MD,
            {"exchange": Path("meet"), "node": "0/2", "processes": 2},
            "--exchange meet: a node is one process here; leave --processes 2 out",
        ),
        (MD, {"exchange": Path("meet"), "node": "5/2"}, "--node 5/2: write I/N, this node's number from 0"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_at_once(
    run: str, words: dict, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, monkeypatch, paper=PAPER)
    before = sorted(project.rglob("*"))
    with pytest.raises(ValueError, match=r"students|--node|--processes") as caught:
        train(run, **words)
    assert exit_code(caught.value) == Code.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"okd: {says}")
    assert sorted(project.rglob("*")) == before


def test_a_started_process_passes_its_code_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(Ended(4)) == Code.DATA
    assert capsys.readouterr().err == "okd: a process of this run ended with 4\n"
