"""The data sets behind a plan, as the report shows them."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from okd.data.arrays import DataError, Manifest, manifest_file
from okd.data.overview import overview
from okd.data.sheet import contact_sheet
from okd.evaluation.datasets import DatasetRecord, Datasets, SheetRecord
from okd.plan.settings import DataSettings


def dataset_records(root: Path, names: Iterable[str], images: DataSettings | None) -> tuple[Datasets, dict[str, bytes]]:
    """A record for each that has been fetched, and the contact sheets by file name: of what a report may show; none without `images`."""
    records, absent, pictures = [], [], {}
    for name in sorted(set(names)):
        try:
            manifest = Manifest.read(manifest_file(root, name))
        except DataError:
            absent.append(name)
            continue
        seen = overview(manifest)
        made = contact_sheet(manifest, root, images) if images and seen.shown else None
        record = DatasetRecord.model_validate(asdict(seen))
        if made:
            picture, words = made
            file = f"dataset-{name}.jpg"
            pictures[file] = picture
            record = record.model_copy(update={"sheet": SheetRecord(file=file, words=words)})
        records.append(record)
    return Datasets(datasets=records, absent=absent), pictures
