"""What the report says of the data sets behind the planned runs: reports/data/datasets.json, and a contact sheet beside it for each."""

from okd.evaluation.records import Record

DATASETS = "datasets.json"


class SplitRecord(Record):
    name: str
    count: int
    per_class: list[int]
    sha256: str
    known: str  # how we know that it is the right one


class SheetRecord(Record):
    """A picture with the first images of each class."""

    file: str
    words: str


class DatasetRecord(Record):
    name: str
    title: str
    revision: int
    verified: bool
    source: str
    licence: str
    shape: list[int]  # channels, height, width
    classes: list[str]
    splits: list[SplitRecord]
    mean: list[float]  # of each channel of the training images, in 0..1
    std: list[float]
    border: int  # pixels of zeros around each image
    inner_mean: list[float]  # inside that border
    inner_std: list[float]
    published_mean: list[float]
    published_std: list[float]
    shown: bool  # its licence lets a report show images of it
    state: str  # whether it is what it says, in words
    sheet: SheetRecord | None = None

    @property
    def statistics(self) -> list[tuple[str, list[float], list[float]]]:
        """What, ours and the published values, a channel each."""
        if not self.mean:
            return []
        where = f" inside its border of {self.border}" if self.border else ""
        return [(f"mean{where}", self.inner_mean, self.published_mean), (f"deviation{where}", self.inner_std, self.published_std)]

    @property
    def per_class(self) -> list[tuple[str, list[int]]]:
        """Each class and how many images of it every split has."""
        return [(name, [split.per_class[index] for split in self.splits]) for index, name in enumerate(self.classes)]


class Datasets(Record):
    """reports/data/datasets.json."""

    datasets: list[DatasetRecord]
    absent: list[str]  # planned, and never fetched here
    version: int = 1
