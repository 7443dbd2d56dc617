"""`okd data show`: what a data set holds, and whether it is what others have."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.data import images
from okd.data.datasets import read_arrays
from okd.data.overview import Overview, SplitOverview, overview
from okd.data.sheet import contact_sheet
from okd.plan.catalog import catalog, unknown
from okd.plan.settings import open_project

MOST_CLASSES = 100  # that are listed one by one


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Look at a data set.", no_args_is_help=True)
    group.command()(show)
    app.add_typer(group, name="data")


def show(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A data set that `okd fetch` has prepared.")],
    sheet: Annotated[Path | None, typer.Option(help="Where its contact sheet goes: scratch/sheets/DATASET.jpg.")] = None,
    as_json: Json = False,
) -> None:
    """Check every byte of a prepared data set; print counts, classes, channel statistics, hashes and source; make a contact sheet."""
    project, known = open_project(), catalog().datasets
    if name not in known:
        raise ValueError(unknown("data set", name, known))
    if known[name].layout == "images":
        manifest = images.load(name, project.root)[0]
    else:
        manifest = read_arrays(name, project.root, project.settings.data)[0]
    if as_json:
        typer.echo(manifest.to_json(), nl=False)
        return
    for label, text in lines(overview(manifest)):
        typer.echo(f"{label:10}{text}")
    made = contact_sheet(manifest, project.root, project.settings.data)
    if made:
        file = sheet or project.root / "scratch" / "sheets" / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made[0])
        typer.echo(f"{'sheet':10}{file.relative_to(project.root) if file.is_relative_to(project.root) else file}: {made[1]}")


def lines(seen: Overview) -> Iterator[tuple[str, str]]:
    """Label and text of every line about where the data come from and what they are."""
    channels, height, width = seen.shape
    yield seen.name, f"{seen.title}, revision {seen.revision}: {seen.state}"
    yield "source", seen.source
    yield "licence", seen.licence
    yield "images", f"{channels} channels, {height} x {width} pixels, {len(seen.classes)} classes"
    yield "classes", ", ".join(seen.classes[:MOST_CLASSES]) + (", ..." if len(seen.classes) > MOST_CLASSES else "")
    for split in seen.splits:
        yield split.name, f"{split.count:,} images, {counts(split)}"
        yield "", f"SHA-256 {split.sha256}, {split.known}"
    if seen.mean:
        yield "mean", spelled(seen.mean, 6)
        yield "deviation", spelled(seen.std, 6)
    if seen.published_mean:
        words = f" inside the border of {seen.border}" if seen.border else ""
        yield "", f"mean{words} {spelled(seen.inner_mean, 4)}, published {spelled(seen.published_mean, 4)}"
        yield "", f"deviation{words} {spelled(seen.inner_std, 4)}, published {spelled(seen.published_std, 4)}"


def counts(split: SplitOverview) -> str:
    """How many of each class."""
    if len(set(split.per_class)) == 1:
        return f"{split.per_class[0]:,} of each class"
    if len(split.per_class) > MOST_CLASSES:
        return f"{min(split.per_class):,} to {max(split.per_class):,} of each class"
    return "by class: " + " ".join(f"{count:,}" for count in split.per_class)


def spelled(values: Sequence[float], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)
