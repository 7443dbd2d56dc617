"""What people who know DVC expect: metrics, plots, the graph, quiet tools."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from project import ROOT, Checkout
from small import ONE, STUDENT, TEACHER, finished_checkout, make_checkout


@pytest.fixture
def checkout(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return finished_checkout(tmp_path / "checkout", tmp_path_factory)


def test_dvc_reads_our_tables(checkout: Checkout) -> None:
    shown = json.loads(checkout.dvc("metrics", "show", "--json").out)
    numbers = shown[""]["data"]["reports/data/metrics.json"]["data"]
    table = json.loads((checkout.root / "reports" / "data" / "small-t1.json").read_text())
    ours = {cell["address"].split("/", 1)[1]: cell["ours"]["mean"] for cell in table["cells"]}
    assert numbers["small-t1"] == ours
    assert set(ours) == {"resnet/baseline", "resnet/one", "resnet/okddip", "resnet/dml"}
    plots = json.loads(checkout.dvc("plots", "show", "--json").out)
    assert not plots.get("errors")
    (plot,) = next(iter(plots["data"].values()))
    assert '"field": "ours"' in json.dumps(plot["content"])
    checkout.dvc("plots", "show", "--out", "plots")
    assert "ours" in (checkout.root / "plots" / "index.html").read_text()


def test_the_graph_has_the_teachers_edge(checkout: Checkout) -> None:
    graph = checkout.dvc("dag", "--dot").out
    assert f'"train@{TEACHER}" -> "train@{STUDENT}"' in graph
    assert f'"train@{ONE}" -> "tables"' in graph
    rules = Checkout(checkout.root, {"OKD_FULL_DAG": "1"}).snakemake("--rulegraph").out
    assert all(f'"{rule}' in rules for rule in ("fetch", "train", "tables", "report"))


def test_a_plan_without_runs_ends_well(tmp_path: Path) -> None:
    """At scale demo a table may have no cell that is run."""
    checkout = make_checkout(tmp_path / "checkout")
    checkout.okd("plan", "small-t2", "--scale", "demo", "--save")
    assert checkout.index() == {}
    checkout.dvc("repro")
    assert (checkout.root / "reports" / "report.html").is_file()


def test_neither_tool_reports_home(tmp_path: Path) -> None:
    """DVC is asked itself; Snakemake has no such thing, and its profile starts no plugin that would."""
    checkout = make_checkout(tmp_path / "checkout")
    question = "from dvc import analytics, updater; print(analytics.is_enabled(), updater.Updater('tmp').is_enabled())"
    assert checkout.run(sys.executable, "-c", question).out.split() == ["False", "False"]
    (checkout.root / ".dvc" / "config").write_text("")
    assert checkout.run(sys.executable, "-c", question).out.split() == ["True", "True"], "it would, without our configuration"
    assert "logger" not in yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
