"""`okd bench` measures real training, and what it stores makes prices."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from conftest import make_project, plan
from okd.cli.bench import bench as verb
from okd.plan.price import price
from okd.plan.rates import CONSTANT
from okd.training.bench import BATCH, Bench, bench_run, in_turns, under
from okd.training.cost import training_cost

CPU = torch.device("cpu")


@pytest.fixture
def okd(monkeypatch: pytest.MonkeyPatch):
    import typer

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(verb)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_one_line_of_json_with_what_was_asked(okd) -> None:
    shown = okd("--method", "one", "--network", "resnet8", "--numerics", "fast", "--steps", "1", "--rounds", "2", "--json")
    record = json.loads(shown.stdout.strip().splitlines()[-1])
    assert {"images", "wall_s", "cpu_s", "flops", "peak_memory"} <= set(record)
    assert record["images"] == 2 * BATCH
    assert record["cpu_s"] > 0
    assert record["peak_memory"] > 10**8  # torch alone


def test_operations_are_those_that_torch_counts() -> None:
    run = bench_run("ind", ["resnet8"], "fast", {})
    [measured] = in_turns([run], CPU, steps=1, rounds=1, train=200, test=20, threads=1)
    counted = training_cost(["resnet8"], "ind", dict(run.method.options), classes=100).flops_training_forward
    assert measured.flops == pytest.approx(3 * counted * BATCH, rel=1e-3)


def test_the_weights_really_move_and_numerics_take_turns() -> None:
    run = bench_run("okddip", ["resnet8"], "plain", {})
    benches = [Bench(under(run, how), CPU, train=200, test=20) for how in ("plain", "fast")]
    before = [next(bench.session.group.parameters()).clone() for bench in benches]
    for bench in benches:
        bench.window(1)
    assert all(not torch.equal(old, next(bench.session.group.parameters())) for old, bench in zip(before, benches, strict=True))
    assert [bench.measured().numerics for bench in benches] == ["plain", "fast"]


@pytest.mark.parametrize("method", ["md", "kd", "kdcl-general", "snapshot"])
def test_methods_with_phases_teachers_and_held_out_images_are_measured_while_they_distil(method: str) -> None:
    bench = Bench(bench_run(method, ["resnet8"], "fast", {}), CPU, train=200, test=20)
    bench.window(1)
    assert bench.session.weights.distils == (method != "snapshot")
    assert len(bench.session.data.used) == 200


def test_a_table_has_a_line_a_method_and_its_ratio(okd) -> None:
    shown = okd(
        "--method", "baseline", "--network", "resnet8", "--numerics", "plain", "--numerics", "fast", "--steps", "1", "--rounds", "1"
    )
    lines = shown.stdout.strip().splitlines()
    assert "fast / plain" in lines[2]
    assert lines[-1].startswith("| baseline | resnet8 |")


def test_a_calibration_makes_the_price(okd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_project(tmp_path, monkeypatch)
    runs = [run for run in plan(folder).values() if run.method.name == "baseline" and run.networks[0].name == "resnet8"]
    assert price(folder, runs, device="CPU core").sources["constant"] == 1
    okd("--method", "baseline", "--network", "resnet8", "--numerics", "exact", "--steps", "1", "--rounds", "1", "--calibrate")
    priced = price(folder, runs, device="CPU core")
    assert priced.sources == {"results": 0, "calibration": 1, "constant": 0}
    [row] = json.loads((folder / "scratch" / "calibration.json").read_text())["rates"]
    assert 0.001 < row["operations_per_s"] / CONSTANT["CPU core"] < 100


def test_an_unknown_name_is_said_with_the_nearest(okd) -> None:
    with pytest.raises(ValueError, match="unknown method 'okdip', did you mean 'okddip'"):
        okd("--method", "okdip")
    with pytest.raises(ValueError, match="unknown numerics 'fst'"):
        okd("--method", "one", "--numerics", "fst")
    with pytest.raises(ValueError, match="write NAME=VALUE"):
        okd("--method", "one", "--option", "setting")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--method", "one", "--option", "temprature=7"), "--option temprature: none of these methods has it, did you mean 'temperature'?"),
        (("--method", "one", "--option", "temperature=-7"), "--option temperature: -7 must be above 0"),
        (("--method", "one", "--option", "students=0"), "--option students: 0 is not a whole number above 0"),
        (("--method", "one", "--device", "foo"), "--device foo: "),
        pytest.param(
            *(("--method", "one", "--device", "cuda"), "--device cuda: "),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
        (("--method", "one", "--calibrate"), "no params.yaml and papers/ here or above"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_before_anything_is_measured(words: tuple[str, ...], says: str, okd, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("okd.training.bench.in_turns", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        okd(*words)
    assert "\n" not in str(caught.value)
