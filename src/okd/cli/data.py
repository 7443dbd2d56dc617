"""`okd data show`: what a data set holds, and whether it is what others have."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from okd.cli.options import Json
from okd.data import images
from okd.data.arrays import Manifest, Split, SplitFacts, channel_statistics
from okd.data.datasets import ORIGINS, OWN, read_arrays
from okd.plan.catalog import catalog, unknown
from okd.plan.settings import find_root

MOST_CLASSES = 100  # that are listed one by one


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Look at a data set.", no_args_is_help=True)
    group.command()(show)
    app.add_typer(group, name="data")


def show(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A data set that `okd fetch` has prepared.")],
    as_json: Json = False,
) -> None:
    """Check every byte of a prepared data set; print counts, classes, channel statistics, hashes and source."""
    known = catalog().datasets
    if name not in known:
        raise ValueError(unknown("data set", name, known))
    if known[name].layout == "images":
        manifest, splits = images.load(name, find_root())[0], None
    else:
        manifest, splits = read_arrays(name, find_root())
    if as_json:
        typer.echo(manifest.to_json(), nl=False)
        return
    for label, text in (*described(manifest), *(statistics(manifest, splits["train"]) if splits else ())):
        typer.echo(f"{label:10}{text}")


def described(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Label and text of every line about where the data come from and what they are."""
    origin, channels, height, width = ORIGINS.get(manifest.name, OWN), *manifest.shape
    state = "the official data" if manifest.verified else "NOT known to be the official data"
    yield manifest.name, f"{catalog().datasets[manifest.name].title}, revision {manifest.revision}: {state}"
    yield "source", manifest.source
    yield "licence", manifest.licence
    yield "images", f"{channels} channels, {height} x {width} pixels, {manifest.classes} classes"
    for split, facts in manifest.splits.items():
        yield split, f"{facts.count:,} images, {counts(facts)}"
        known = origin.content.get(split)
        yield "", f"SHA-256 {facts.sha256}, " + ("pinned in the code" if facts.sha256 == known else "recorded at first use")


def statistics(manifest: Manifest, train: Split) -> Iterator[tuple[str, str]]:
    """The training set's channels beside the published values, which know no border."""
    origin = ORIGINS[manifest.name]
    yield "mean", spelled(manifest.mean, 6)
    yield "deviation", spelled(manifest.std, 6)
    if origin.published is None:
        return
    height, width = manifest.shape[1:]
    inner = train.images[:, :, origin.border : height - origin.border, origin.border : width - origin.border]
    words = f" inside the border of {origin.border}" if origin.border else ""
    for label, own, theirs in zip(
        ("mean", "deviation"), channel_statistics(inner), (origin.published.mean, origin.published.std), strict=True
    ):
        yield "", f"{label}{words} {spelled(own, 4)}, published {spelled(theirs, 4)}"


def counts(facts: SplitFacts) -> str:
    """How many of each class."""
    if len(set(facts.per_class)) == 1:
        return f"{facts.per_class[0]:,} of each class"
    if len(facts.per_class) > MOST_CLASSES:
        return f"{min(facts.per_class):,} to {max(facts.per_class):,} of each class"
    return "by class: " + " ".join(f"{count:,}" for count in facts.per_class)


def spelled(values: Sequence[float], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)
