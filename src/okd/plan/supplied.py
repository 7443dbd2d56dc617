"""Data sets that the user supplies: each is known by what its manifest says, and not available until there is one."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from okd.plan.catalog import Catalog


def content_key(hashes: Iterable[str]) -> str:
    """What stands in a run's spec for the user's images: one hash over those of the training and the test set."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def supplied(root: Path, catalog: Catalog) -> dict[str, str]:
    """The content key of every supplied data set that has been described here."""
    found = {}
    for name, entry in catalog.datasets.items():
        if entry.layout == "images":
            try:
                splits = json.loads((root / "data" / f"{name}.manifest.json").read_text(encoding="utf-8"))["splits"]
                found[name] = content_key(str(splits[split]["sha256"]) for split in ("train", "test"))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # `okd fetch` says what is wrong with it
    return found
