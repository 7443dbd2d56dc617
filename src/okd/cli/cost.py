"""`okd cost`: parameters and operations of a training group."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.plan.catalog import Catalog, Value, catalog, unknown
from okd.plan.store import write_atomically


def register(app: typer.Typer) -> None:
    app.command()(cost)


def cost(
    network: Annotated[str, typer.Option(help="Network, or several with commas.")] = "",
    method: Annotated[str, typer.Option(help="Method.")] = "baseline",
    students: Annotated[int | None, typer.Option(min=1, help="Students; the method's own number if not given.")] = None,
    setting: Annotated[str | None, typer.Option(help="branch or network, for methods that have both.")] = None,
    reading: Annotated[str | None, typer.Option(help="One of the method's readings.")] = None,
    teacher: Annotated[str | None, typer.Option(help="The network that teaches (kd).")] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="100 for networks of CIFAR, 1000 of ImageNet if not given.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Count every network and write src/okd/costs.json.")] = False,
    as_json: Json = False,
) -> None:
    """Count parameters, and operations of one image (2 x multiply-adds), in use and in training."""
    from okd.training.cost import all_costs, training_cost

    known = catalog()
    if every:
        file = Path(str(files("okd") / "costs.json"))
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in all_costs()["networks"].items())
        write_atomically(file, lambda stream: stream.write(f'{{"networks": {{\n{rows}\n}}}}\n'))  # a line each: to read, and to compare
        typer.echo(f"{file.name}: {len(known.networks)} networks known, {sum(entry.built for entry in known.networks.values())} counted")
        return
    names = [name.strip() for name in network.split(",") if name.strip()]
    options = _options(known, names, method, teacher, students=students, setting=setting, reading=reading)
    if known.methods[method].taught != (teacher is not None):
        raise ValueError(f"{method} needs --teacher NETWORK" if teacher is None else f"{method} takes no --teacher")
    size = known.networks[names[0]].input
    counted = training_cost(names, method, options, classes=classes or (100 if size == 32 else 1000), teacher=teacher)
    if as_json:
        typer.echo(json.dumps(asdict(counted)))
        return
    for name, value in asdict(counted).items():
        typer.echo(f"{name:24}{value:>16,}")


def _options(
    known: Catalog, names: list[str], method: str, teacher: str | None, *, students: int | None, setting: str | None, reading: str | None
) -> dict[str, Value]:
    """The method's options as a cell that says just this would have them. Raises ValueError."""
    if not names:
        raise ValueError("say --network NAME, or --all")
    networks = [*names, *([teacher] if teacher else [])]
    for kind, name, entries in [("method", method, known.methods), *(("network", name, known.networks) for name in networks)]:
        if name not in entries:
            raise ValueError(unknown(kind, name, entries))
        if not entries[name].built:
            raise ValueError(f"{kind} {name} is not built yet")
    entry = known.methods[method]
    stated: dict[str, Value] = {} if students is None else {"students": students}
    stated |= {} if setting is None else {"setting": setting}
    if reading is not None:
        if reading not in entry.readings:
            raise ValueError(f"{method} has no reading '{reading}' (readings: {', '.join(entry.readings) or 'none'})")
        stated["reading"] = reading
    for name in stated:
        if name in ("students", "reading"):
            continue
        problem = entry.options[name].problem(stated[name]) if name in entry.options else f"{method} has no option '{name}'"
        if problem:
            raise ValueError(problem)
    options = entry.resolve(stated)
    if len(names) > 1 and entry.group_kind(options) != "networks":
        raise ValueError(f"{method} trains one network here, not {len(names)}: say one --network")
    if entry.group_kind(options) != "one" and max(len(names), int(options["students"])) < 2:
        raise ValueError(f"{method} needs at least two students")
    return options | ({"students": len(names)} if len(names) > 1 else {})
