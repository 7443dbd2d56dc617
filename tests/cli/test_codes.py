"""Exit codes where a place is not what a verb needs: one line, 74 for the checkout's disk and 2 for what somebody typed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from okd.cli.tables import tables


def okd(*words: str, code: int, path: str = "") -> str:
    """What it says on stderr; nothing that looks like a traceback."""
    environment = os.environ | ({"PATH": path} if path else {})
    done = subprocess.run([sys.executable, "-m", "okd", *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("folder", ["data", "scratch"])
def test_a_link_that_leads_nowhere_is_a_line(folder: str, project: Path) -> None:
    if (project / folder).exists():
        (project / folder).rename(project / "away")
    (project / folder).symlink_to("/not/mounted")
    (line,) = okd("fetch", "digits", code=74).splitlines()
    assert line.endswith(f"/{folder}: is there and is no folder: a file, or a link that leads nowhere")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tables", "--out", "file"), "okd: --out file: is there and is no folder\n"),
        (("export", "tiny-digits-resnet8-one-s0", "--out", "file"), "okd: --out file: is there and is no folder\n"),
        (("tables", "--log", "file/x"), "okd: --log file/x: File exists\n"),
        (("tables", "--log", "reports"), "okd: --log reports: Is a directory\n"),
        (("diff", "x" * 300, "x"), f"okd: '{'x' * 56}... is longer than any id or file name\n"),
    ],
    ids=["tables --out", "export --out", "--log", "--log folder", "diff"],
)
def test_what_was_typed_wrong_is_usage(words: tuple[str, ...], says: str, project: Path) -> None:
    (project / "file").touch()
    assert okd(*words, code=2) == says


def test_a_page_is_no_folder_and_a_folder_beside_the_data_is_left_alone(project: Path) -> None:
    """Nor is what another process writes at that moment."""
    data = project / "reports" / "data"
    (data / "mine").mkdir(parents=True)
    for name in (".tiny-t1.csv.1.tmp", "gone.csv"):
        (data / name).touch()
    tables()
    assert [name for name in ("mine", ".tiny-t1.csv.1.tmp", "gone.csv") if (data / name).exists()] == ["mine", ".tiny-t1.csv.1.tmp"]
    assert okd("report", "--out", "reports", code=2) == "okd: --out reports: is a folder; name the page, as reports/report.html\n"


def test_record_names_dvc(project: Path) -> None:
    from okd.plan.planner import make_plan
    from okd.plan.settings import open_project
    from okd.plan.store import FILES, Places

    places = Places(project, make_plan(open_project(project)).to_do[0])
    places.result.mkdir(parents=True)
    for name in FILES:
        (places.result / name).touch()
    assert okd("record", code=2, path="/nowhere") == "okd: there is no dvc on PATH: source .venv/bin/activate\n"


def test_an_unknown_data_set_is_usage(project: Path) -> None:
    for verb in (("fetch",), ("data", "show")):
        assert okd(*verb, "digitz", code=2) == "okd: unknown data set 'digitz', did you mean 'digits'?\n"


def test_ctrl_c_ends_a_watch_that_a_person_started(project: Path) -> None:
    """One of an engine's ends with it."""
    for started_by, code in (({}, -signal.SIGINT), ({"OKD_PARENT": str(os.getpid())}, None)):
        with subprocess.Popen(
            [sys.executable, "-m", "okd", "status", "--watch"], stderr=subprocess.PIPE, env=os.environ | started_by
        ) as watch:
            assert watch.stderr is not None
            watch.stderr.readline()
            watch.send_signal(signal.SIGINT)
            try:
                assert watch.wait(timeout=30 if code else 1) == code
            except subprocess.TimeoutExpired:
                assert code is None
            watch.kill()
