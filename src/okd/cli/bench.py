"""`okd bench`: what a training step costs here, by method and numerics."""

import json
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from okd.cli.options import Json
from okd.plan.catalog import MethodEntry, catalog, unknown
from okd.plan.rates import store_rates
from okd.plan.settings import find_root
from okd.plan.source import nearest, shown

if TYPE_CHECKING:
    import torch

    from okd.training.bench import Measured

PLAIN = "plain"


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    method: Annotated[list[str] | None, typer.Option(help="A method; again for more. All of them if not given.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="The students' network; again for a mixed group.")] = None,
    numerics: Annotated[list[str] | None, typer.Option(help="Again to compare several; plain is an ordinary eager loop.")] = None,
    option: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the method: setting=network.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU where there is one.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a window; 2 on a CPU, 200 on a GPU.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Windows, taken in turn.")] = 3,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Keep the rates for the prices of `okd plan`.")] = False,
    as_json: Json = False,
) -> None:
    """Train on random images of CIFAR's shape, batch 128, and say what it took; one line of JSON for each method and numerics."""
    known, names = catalog(), method or [name for name, entry in catalog().methods.items() if entry.built]
    for kind, given, things in (("method", names, known.methods), ("network", network or [], known.networks)):
        if strange := next((name for name in given if name not in things), None):
            raise ValueError(unknown(kind, strange, things))
    if calibrate and threads > 1:
        raise ValueError("--calibrate measures what a training here has: one CPU thread; leave --threads out")

    from okd.training.bench import bench_run, in_turns, under
    from okd.training.numerics import NUMERICS, choose_device, prepare_environment

    hows = numerics or [PLAIN, "fast", "fast-bf16"]
    if strange := next((how for how in hows if how not in NUMERICS), None):
        raise ValueError(unknown("numerics", strange, NUMERICS))
    options = _options([known.methods[name] for name in names], option or [])
    root = find_root() if calibrate else None  # where the rates go: not to be found missing when all is measured
    prepare_environment()
    where = _device(device) if device else choose_device()
    large = where.type == "cuda"
    table: list[Sequence[Measured]] = []
    for name in names:
        own = {key: value for key, value in options.items() if key in known.methods[name].options or key == "students"}
        run = bench_run(name, network or ["resnet32"], hows[0], own)
        sizes = {"train": 50_000, "test": 10_000} if large else {"train": 2_000, "test": 200}
        runs = [under(run, how) for how in hows]
        row = in_turns(runs, where, steps=steps or (200 if large else 2), rounds=rounds, threads=threads, **sizes)
        table.append(row)
        for measured in row:
            if as_json:
                typer.echo(json.dumps(measured.record()))
        if not as_json:
            if len(table) == 1:
                typer.echo(_head(row, large))
            typer.echo(_line(row, large))
    if root:
        kind = "GPU" if large else "CPU core"
        file = store_rates(root, [_rate(measured, kind) for row in table for measured in row if measured.numerics != PLAIN])
        typer.echo(f"kept in {file} for the prices of `okd plan`", err=True)


def _device(name: str) -> "torch.device":
    """Raises ValueError where there is none."""
    import torch

    try:
        where = torch.device(name)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from None
    return where


def _options(methods: Sequence[MethodEntry], words: Sequence[str]) -> dict[str, str | int | float]:
    """Each belongs to one of the methods at least, and is right for all that have it. Raises ValueError."""
    options = dict(_option(text) for text in words)
    known = {"students", *(name for method in methods for name in method.options)}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"--option {name}: none of these methods has it{nearest(name, known)} (options: {', '.join(sorted(known))})")
        found = [problem for method in methods if name in method.options and (problem := method.options[name].problem(value))]
        if name == "students" and (type(value) is not int or value < 1):
            found = [f"{shown(value)} is not a whole number above 0"]
        if found:
            raise ValueError(f"--option {name}: {found[0]}")
    return options


def _option(text: str) -> tuple[str, str | int | float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option {text}: write NAME=VALUE")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _rate(measured: "Measured", kind: str) -> dict[str, str | float]:
    """With the evaluation's share: what a whole epoch comes to."""
    per_image = measured.epoch_s() / 50_000
    return {
        "method": measured.method,
        "networks": measured.networks,
        "numerics": measured.numerics,
        "kind": kind,
        "operations_per_s": measured.flops / measured.images / per_image,
    }


def _head(row: "Sequence[Measured]", large: bool) -> str:
    """A GPU is judged by the wall clock and by whole epochs, a CPU that others use by its own seconds."""
    unit = "s an epoch" if large else "images per CPU s"
    first, *others = [measured.numerics for measured in row]
    columns = ["Method", "Networks", f"{first}: {unit}", *(f"{name} / {first}" for name in others)]
    columns += ["GPU memory, MB"] if large else []
    return f"{row[0].device}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def _line(row: "Sequence[Measured]", large: bool) -> str:
    first, *others = row
    cells = [first.method, spelled(first.networks), f"{first.epoch_s():.2f}" if large else f"{_speed(first):.1f}"]
    for other in others:
        pairs = zip(first.rounds, other.rounds, strict=True)
        ratios = [(a / b) if large else (c / d) for (a, c), (b, d) in pairs]
        low, high = min(ratios), max(ratios)
        extra = f"; {other.epoch_s():.2f} s" if large else ""
        cells.append(f"{median(ratios):.2f} ({low:.2f} to {high:.2f}{extra})")
    cells += [" / ".join(f"{measured.peak_memory / 1e6:,.0f}" for measured in row)] if large else []
    return f"| {' | '.join(cells)} |"


def _speed(measured: "Measured") -> float:
    return measured.images / measured.cpu_s


def spelled(networks: str) -> str:
    names = networks.split(",")
    return f"{len(names)} x {names[0]}" if len(set(names)) == 1 and len(names) > 1 else networks
