"""Counted costs against the papers' own columns and the counts of the official code."""

import json
import re
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from okd.cli import app
from okd.cli.cost import register
from okd.training.cost import TrainingCost, all_costs

if not app.registered_commands:
    register(app)
    app.callback()(lambda: None)


def cost(words: str) -> TrainingCost:
    """What `okd cost ... --json` prints."""
    answer = CliRunner().invoke(app, ["cost", *words.split(), "--json"], catch_exceptions=False)
    return TrainingCost(**json.loads(answer.stdout))


@pytest.mark.parametrize(
    ("words", "params"),
    [
        # OKDDip's training groups of four students, 100 classes
        ("--network resnet32 --method okddip", 1_554_272),
        ("--network resnet110-bottleneck --method okddip", 3_874_016),
        ("--network wrn-20-8 --method okddip", 22_611_936),
        ("--network vgg16 --method okddip", 38_342_608),
        ("--network resnet32 --method okddip --setting network", 1_892_048),
        ("--network resnet110-bottleneck --method okddip --setting network", 4_699_856),
        ("--network wrn-20-8 --method okddip --setting network", 27_501_264),
        ("--network vgg16 --method okddip --setting network", 61_264_528),
        ("--network densenet-40-12-bc --method okddip --setting network", 756_592),
        ("--network densenet-40-12-bc --method okddip --reading shared-block", 233_008),
        # ONE's training groups of three branches
        ("--network resnet32 --method one --classes 10", 1_175_639),
        ("--network resnet32 --method one", 1_193_189),
        ("--network resnet164 --method one --classes 10", 4_294_263),
        ("--network resnet164 --method one", 4_363_653),
        # KDCL's Table 3, 1000 classes
        ("--network resnet18", 11_689_512),
        ("--network resnet18 --method clnn", 40_509_408),
        ("--network resnet18,mobilenetv2-x1.2 --method kdcl-naive", 16_415_504),
        ("--network resnet18,resnet50 --method kdcl-naive", 37_246_544),
    ],
)
def test_training_groups_have_the_papers_parameters(words: str, params: int) -> None:
    assert cost(words).params_training == params


@pytest.mark.parametrize(
    ("words", "column", "printed"),
    [
        ("--network resnet18", "params", 11.7),
        ("--network resnet18 --method one", "params", 29.5),
        ("--network resnet18,mobilenetv2-x1.2 --method kdcl-naive", "params", 16.4),
        ("--network resnet18 --method clnn", "params", 40.5),
        ("--network resnet18,resnet50 --method kdcl-naive", "params", 37.2),
    ],
)
def test_kdcl_table_3(words: str, column: str, printed: float) -> None:
    assert round(cost(words).params_training / 1e6, 1) == printed


def test_one_s_cost_columns() -> None:
    """TeCost and TrCost in 1e8. ResNet-110's two columns come from two networks: 5.05 from none exactly, 8.29 from the 164-layer one."""
    assert cost("--network resnet32 --method one").flops_inference / 1e8 == pytest.approx(1.38, abs=0.005)
    assert int(cost("--network resnet32 --method one").flops_training_forward / 1e6) == 228  # printed 2.28, cut and not rounded
    assert cost("--network resnet164 --method one").flops_training_forward / 1e8 == pytest.approx(8.29, abs=0.005)
    assert cost("--network resnet110-a").flops_inference / 1e8 == pytest.approx(5.05, abs=0.01)
    assert cost("--network resnet164").flops_inference / 1e8 == pytest.approx(4.95, abs=0.005)


def test_branches_are_counted_from_stages_as_they_are_built() -> None:
    """Prices come from costs.json without torch; they leave out only what the teacher adds."""
    from okd.plan.price import group_cost

    built = cost("--network resnet32 --method ind")
    priced = group_cost(["resnet32"], classes=100, size=32, fork=[[-1, 4]])
    assert (priced.parameters, priced.flops) == (built.params_training, built.flops_training_forward)
    assert (priced.deployed_parameters, priced.deployed_flops) == (built.params_deployed, built.flops_inference)


def test_costs_json_is_what_would_be_counted_today() -> None:
    stored = json.loads((files("okd") / "costs.json").read_text())
    assert stored == json.loads(json.dumps(all_costs())), "run `okd cost --all`"


@pytest.mark.parametrize(
    ("name", "classes", "size", "parameters", "millions"),
    [
        ("squeezenet1.1", 1000, 224, 1_235_496, "349"),  # its last stage depends on the number of classes
        ("resnet18", 1000, 224, 11_689_512, "1814"),
        ("mobilenetv2-x0.5", 1000, 224, 1_968_680, "97"),
        ("vgg16", 100, 32, 15_299_748, "313.8"),
        ("densenet-100-12-bc", 100, 32, 800_032, "288.0"),
        ("wrn-20-8", 10, 32, 6_848_090, ""),
    ],
)
def test_costs_json_has_the_published_counts(name: str, classes: int, size: int, parameters: int, millions: str) -> None:
    """Parameters and multiply-adds in 1e6, as the papers' specifications have them."""
    from okd.plan.price import group_cost

    cost = group_cost([name], classes=classes, size=size)
    assert cost.deployed_parameters == parameters
    if millions:
        assert f"{cost.deployed_flops / 2e6:.{len(millions.partition('.')[2])}f}" == millions


def test_an_unknown_name_gets_one_line() -> None:
    with pytest.raises(ValueError, match=re.escape("unknown network 'resnet33', did you mean 'resnet34'?")):
        cost("--network resnet33")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--network resnet32 --method kd --teacher resnet33", "unknown network 'resnet33', did you mean 'resnet34'?"),
        ("--network resnet32 --method dml --teacher resnet34", "dml takes no --teacher"),
        ("--network resnet32,vgg16 --method one", "one trains one network here, not 2: say one --network"),
        ("--network resnet32 --method one --students 1", "one needs at least two students"),
    ],
)
def test_what_cannot_be_counted_gets_one_line(words: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        cost(words)
