"""A contact sheet: the first training images of each class on one small picture."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from okd.data import arrays, images
from okd.data.arrays import DataError, Manifest
from okd.plan.settings import DataSettings

MOST, COLUMNS = 100, 10  # images, and images in a row
SIDE, GAP = 32, 2  # pixels
QUALITY = 90


def contact_sheet(manifest: Manifest, root: Path, settings: DataSettings) -> tuple[bytes, str] | None:
    """A JPEG and what is on it, in words; None where the images are not on this machine. Checks no bytes."""
    from PIL import Image

    per_class = max(1, min(COLUMNS, MOST // manifest.classes))
    try:
        pictures = list(_pictures(manifest, root, settings, per_class))
    except (DataError, OSError, ValueError):
        return None
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, COLUMNS)
        sheet.paste(picture, (column * (SIDE + GAP), row * (SIDE + GAP)))
    raw = io.BytesIO()
    sheet.save(raw, "JPEG", quality=QUALITY, subsampling=0)
    shown = min(manifest.classes, MOST)
    some = f"the first {shown} of {manifest.classes} classes" if shown < manifest.classes else "every class"
    first = "The first training image" if per_class == 1 else f"The first {per_class} training images"
    return raw.getvalue(), f"{first} of {some}, in order"


def _pictures(manifest: Manifest, root: Path, settings: DataSettings, per_class: int) -> Iterator[Any]:
    """Class after class, each as a picture of SIDE pixels."""
    from PIL import Image, ImageOps

    if manifest.names:
        listing, folder = images.load(manifest.name, root)[1]["train"], images.supplied_folder(manifest.name, root, settings)
        for index in _first(listing.labels, manifest.classes, per_class):
            with Image.open(io.BytesIO(listing.read(index, folder))) as image:
                yield ImageOps.fit(image.convert("RGB"), (SIDE, SIDE))
        return
    train = arrays.unchecked(arrays.folder_of(manifest.name, root, settings.root), "train")
    for index in _first(train.labels, manifest.classes, per_class):
        image = Image.fromarray(np.ascontiguousarray(train.images[index].transpose(1, 2, 0)))
        yield image.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _first(labels: np.ndarray, classes: int, per_class: int) -> Iterator[int]:
    for label in range(min(classes, MOST)):
        yield from (int(index) for index in np.flatnonzero(labels == label)[:per_class])
