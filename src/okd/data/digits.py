"""scikit-learn's handwritten digits: the data set of scale demo, which needs no download."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from okd.data.arrays import Split
from okd.data.forms import Form


def digits(paths: Sequence[Path] = ()) -> dict[str, Split]:
    """8x8 grey values 0..16, enlarged to 16x16 and three equal channels; every fifth is for testing."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey.repeat(2, axis=1).repeat(2, axis=2)[:, None], 3, axis=1)
    labels = bunch.target.astype(np.int16)
    test = np.arange(len(labels)) % 5 == 0
    return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}


DIGITS = (Form(files=(), read=digits),)
