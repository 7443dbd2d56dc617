"""What people who know DVC expect: metrics, plots, the graph, quiet tools."""

import json
from pathlib import Path

import pytest
import yaml
from project import ROOT, Checkout
from small import ONE, STUDENT, TEACHER, finished_checkout


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


def test_neither_tool_reports_home() -> None:
    """DVC's own settings say so; Snakemake has no such thing, and its profile starts no plugin that would."""
    settings = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in settings
    assert "check_update = false" in settings
    assert "logger" not in yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
