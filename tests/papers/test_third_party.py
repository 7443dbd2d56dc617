"""What others measured: every value of the reference stands at the cells that it is about, or is about nothing that a paper prints."""

import os
from pathlib import Path

import pytest
import yaml

from conftest import make_project
from okd.evaluation.same_experiment import same_experiment
from okd.evaluation.tables import Evaluation
from okd.plan.planner import Plan, make_plan
from okd.plan.settings import open_project
from okd.plan.source import Faults
from okd.report.contents import Contents
from okd.report.render import render_contents

ROOT = Path(__file__).parents[2]
# Methods and networks outside the four papers, or in none of their tables: nothing to stand beside.
ELSEWHERE = {"FFL-S", "PCL", "KDCL", "MCL-OKD", "HCGNet-A1", "PreResNet-110"}
ENSEMBLES = ("VGG-16", "ResNet-32", "ResNet-110")  # rows of OKDDip's Table 4, which has no DML
METHODS = {"CL": "cl-ilr", "Baseline": "baseline", "DML": "dml", "CL-ILR": "cl-ilr", "ONE": "one"}
ABLATION = {
    "ONE (full)": "one",
    "w/o online distillation": "w-o-online-distillation",
    "w/o sharing layers": "w-o-sharing-layers",
    "w/o gating (plain average)": "w-o-gating",
}
BASELINES = {
    "AlexNet": ["md-t3/baseline/alexnet-{dashed}"],
    "VGG19-BN": ["md-t1-{plain}/vgg-vgg/i-m1"],
    "ResNet-110": ["one-cifar-svhn/resnet-110/{plain}", "md-t3/baseline/resnet-110-{dashed}"],
    "ResNeXt-29-8x64d": ["one-cifar-svhn/resnext-29-8x64d/{plain}"],
    "DenseNet-BC-L100-k12": ["md-t1-{plain}/densenet-densenet/i-m1"],
    "DenseNet-BC-L190-k40": ["one-cifar-svhn/densenet-bc-l-190-k-40/{plain}"],
}


def addresses(table: str, cell: dict[str, str]) -> list[str]:
    """The cells that a reference value is about."""
    network, method = cell["network"], cell["method"]
    if {network, method} & ELSEWHERE:
        return []
    if table == "bearpaw-cifar":
        dashed = cell["dataset"].lower()
        return [address.format(dashed=dashed, plain=dashed.replace("-", "")) for address in BASELINES[network]]
    if table == "one-ablation":
        return [f"one-ablation/resnet-110/{ABLATION[method]}"]
    if cell.get("variant") == "ensemble":
        return [f"okddip-t4/{network.lower()}/{METHODS.get(method, 'okddip')}"] if network in ENSEMBLES and method != "DML" else []
    ours = "okddip-t1" if table == "pcl-cifar10" else "okddip-t2"
    return [f"{ours}/{network.lower()}/{METHODS.get(method, 'okddip-br')}"]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(open_project(ROOT), scale="paper")


def test_every_value_of_the_reference_stands_at_its_cells(plan: Plan) -> None:
    if "OKD_REFERENCE" not in os.environ:
        pytest.skip("OKD_REFERENCE is unset: what others measured is not compared")
    file = Path(os.environ["OKD_REFERENCE"]) / "papers" / "tables.yaml"
    tables = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["not_in_seeds"]["extra"]["tables"]
    assert len(tables) == 6
    expected, without = set[tuple[str, ...]](), 0
    for table in tables:
        unit = {"error_top1": "error", "acc_top1": "accuracy"}[table["metric"]]
        for cell in table["cells"]:
            printed = cell["value"] + (f" +- {cell['std']}" if "std" in cell else "")
            places = addresses(table["id"], cell)
            expected |= {(table["id"], address, printed, unit) for address in places}
            without += not places
    ours = [(one.source.id, address, one.value.printed, one.source.unit) for address, values in plan.third_party.items() for one in values]
    assert set(ours) == expected
    assert (sum(len(table["cells"]) for table in tables), len(ours), without) == (146, 90, 58)  # two stand in two papers


def test_they_count_under_the_papers_own_units(plan: Plan) -> None:
    """Error stays error; accuracy is turned where the cell prints errors, and the other way round."""
    tables = {table.id: table for table in Evaluation(ROOT, plan, reproduce=[], evidence_only=True).tables()}
    cell = tables["okddip-t2"].cell("ResNet-32", "OKDDip / br")
    assert [(one.value, one.spread) for one in cell.third_party] == [(26.0, 0.3), (25.9, 0.2), (25.29, None), (26.75, 0.38), (25.76, None)]
    assert [one.note for one in cell.third_party][:2] == ["authors' code, 8 runs", "the reader's own code"]
    (baseline,) = tables["md-t3"].cell("Baseline", "AlexNet / CIFAR-10").third_party
    assert (baseline.value, baseline.printed, baseline.unit) == (77.22, "22.78", "error")
    assert cell.verdict is None  # they judge nothing


def test_the_page_shows_them_beside_ours_and_the_papers(plan: Plan) -> None:
    evaluation = Evaluation(ROOT, plan, reproduce=[], evidence_only=True)
    tables = [table for table in evaluation.tables() if table.id == "okddip-t2"]
    page = render_contents(
        Contents(
            summary=evaluation.summary(tables),
            tables=tables,
            figure_data={},
            same=same_experiment([cell.placed for cell in plan.cells], plan.third_party),
        )
    )
    panel = page[page.index('id="cell-okddip-t2--resnet-32--okddip-br"') :].partition("</section>")[0]
    for text in ("25.63 ± 0.14", "26.0 ± 0.3", "8 runs", "DefangChen/OKDDip, issue 1", "26.75 ± 0.38 (printed as accuracy 73.25 ± 0.38)"):
        assert text in panel, text


def test_the_shared_cells_know_them_too(plan: Plan) -> None:
    shared = same_experiment([cell.placed for cell in plan.cells], plan.third_party)
    (cell,) = [one for one in shared.cells if (one.dataset, one.network, one.method) == ("cifar100", "resnet32", "dml")]
    assert [one.value for one in cell.third_party] == [26.32, 24.92]
    assert (shared.within_half, shared.worst) == (6, 2.56)  # the papers' distances are theirs alone


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            '{cell: tiny-t1/resnet-8/oen, printed: "26.0"}',
            r"third_party\.0\.values\.0\.cell: there is no cell .*did you mean",
        ),
        ('{cell: tiny-t1/resnet-8/one, printed: "about 26"}', r"printed: 'about 26' is not a number as printed"),
        ("{cell: tiny-t1/resnet-8/one, printed: 26.0}", "26.0 is not text"),
    ],
)
def test_a_wrong_value_is_a_fault_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, problem: str) -> None:
    project = make_project(tmp_path, monkeypatch)
    file = project / "papers" / "tiny.yaml"
    section = f"third_party:\n  - {{id: a, what: w, source: s, trust: high, unit: error, values: [{value}]}}\ntables:"
    file.write_text(file.read_text().replace("tables:", section))
    with pytest.raises(Faults, match=problem):
        make_plan(open_project(project))
