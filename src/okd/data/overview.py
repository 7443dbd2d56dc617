"""What there is to say of a data set: its manifest beside what the code and others know of it."""

from dataclasses import dataclass
from math import sqrt

from okd.data.arrays import Manifest
from okd.data.datasets import ORIGINS, OWN
from okd.data.names import NAMES
from okd.plan.catalog import catalog

PINNED, FIRST_USE, UNKNOWN = "pinned in the code", "recorded at first use (trust on first use)", "NOT known to be the official data"


@dataclass(frozen=True, kw_only=True)
class SplitOverview:
    name: str
    count: int
    per_class: list[int]
    sha256: str
    known: str  # how we know that it is the right one


@dataclass(frozen=True, kw_only=True)
class Overview:
    name: str
    title: str
    revision: int
    verified: bool
    source: str
    licence: str
    shape: list[int]  # channels, height, width
    classes: list[str]
    splits: list[SplitOverview]
    mean: list[float]  # of each channel of the training images, in 0..1; nothing where images have sizes of their own
    std: list[float]
    border: int  # pixels of zeros around each image
    inner_mean: list[float]  # inside that border
    inner_std: list[float]
    published_mean: list[float]
    published_std: list[float]
    shown: bool  # its licence lets a report show images of it
    state: str  # whether it is what it says, in words


def overview(manifest: Manifest) -> Overview:
    origin, entry = ORIGINS.get(manifest.name, OWN), catalog().datasets[manifest.name]
    inner_mean, inner_std = inside(manifest, origin.border) if manifest.mean else ([], [])
    trusted = "the official data" if origin.content or origin.forms else "trusted since it was first fetched"
    return Overview(
        name=manifest.name,
        title=entry.title,
        revision=manifest.revision,
        verified=manifest.verified,
        source=manifest.source,
        licence=manifest.licence,
        shape=manifest.shape,
        classes=manifest.names or list(NAMES[manifest.name]),
        splits=[
            SplitOverview(
                name=split,
                count=facts.count,
                per_class=facts.per_class,
                sha256=facts.sha256,
                known=PINNED if facts.sha256 == origin.content.get(split) else FIRST_USE if manifest.verified else UNKNOWN,
            )
            for split, facts in manifest.splits.items()
        ],
        mean=manifest.mean,
        std=manifest.std,
        border=origin.border,
        inner_mean=inner_mean,
        inner_std=inner_std,
        published_mean=origin.published.mean if origin.published else [],
        published_std=origin.published.std if origin.published else [],
        shown=origin.shown,
        state=trusted if manifest.verified else UNKNOWN,
    )


def inside(manifest: Manifest, border: int) -> tuple[list[float], list[float]]:
    """Mean and deviation without a border of zeros, from those with it: the sums are the same, over fewer pixels."""
    _, height, width = manifest.shape
    larger = height * width / ((height - 2 * border) * (width - 2 * border))
    mean = [larger * value for value in manifest.mean]
    squares = [larger * (std**2 + value**2) for value, std in zip(manifest.mean, manifest.std, strict=True)]
    std = [sqrt(max(0.0, square - value**2)) for square, value in zip(squares, mean, strict=True)]
    return [round(value, 6) for value in mean], [round(value, 6) for value in std]
