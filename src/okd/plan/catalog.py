"""The catalog: what methods, networks and data sets exist, with their options and revisions."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from okd.plan.consistency import inconsistencies
from okd.plan.schema import validated
from okd.plan.source import Faults, load, nearest, shown

Value = str | int | float | bool


class Strict(BaseModel):
    """A piece of a file that a person wrote: unknown keys are faults, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Option(Strict):
    default: Value
    allowed: list[Value] | None = None
    above: float | None = None
    least: float | None = None
    most: float | None = None
    neutral: Value | None = None

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, or return None."""
        if self.allowed is not None:
            if any(value == known and type(value) is type(known) for known in self.allowed):
                return None
            return f"{shown(value)} is not one of {', '.join(map(str, self.allowed))}{nearest(value, map(str, self.allowed))}"
        whole = type(self.default) is int
        if type(value) is not int and (whole or type(value) is not float):
            return f"{shown(value)} is not {'a whole number' if whole else 'a number'}"
        assert isinstance(value, int | float)
        for bound, holds, words in (
            (self.above, lambda limit: value > limit, "above"),
            (self.least, lambda limit: value >= limit, "at least"),
            (self.most, lambda limit: value <= limit, "at most"),
        ):
            if bound is not None and not holds(bound):
                return f"{shown(value)} must be {words} {bound:g}"
        return None


class Entry(Strict):
    revision: int | None = Field(None, ge=1)

    @property
    def built(self) -> bool:
        return self.revision is not None


class MethodEntry(Entry):
    group: Literal["one", "branches", "networks", "setting"] = "one"
    students: int = Field(1, ge=1)
    taught: bool = False
    answers: bool = False  # its teacher makes predictions of its own; a taught method's is a network and does so anyway
    snapshots: bool = False  # the network is kept where each cycle of the learning rate ends
    fork: list[list[int]] = []  # [stage, children] each, from the stem on; empty: once, before the last stage
    leader: dict[str, Value] | None = None  # a leader exists where these options have these values
    options: dict[str, Option] = {}
    readings: dict[str, dict[str, Value]] = {}

    def resolve(self, *layers: Mapping[str, Value]) -> dict[str, Value]:
        """Return students and every option; later layers win, a layer's `reading` gives way to the layer's own options."""
        values: dict[str, Value] = {"students": self.students}
        values |= {name: option.default for name, option in self.options.items()}
        for layer in layers:
            reading = layer.get("reading")
            values |= self.readings.get(str(reading), {}) if reading is not None else {}
            values |= {name: value for name, value in layer.items() if name != "reading"}
        return {name: self._typed(name, value) for name, value in values.items()}

    def _typed(self, name: str, value: Value) -> Value:
        option = self.options.get(name)
        return float(value) if option and type(option.default) is float and type(value) is int else value

    def group_kind(self, options: Mapping[str, Value]) -> str:
        """One of "one", "branches", "networks"."""
        if self.group != "setting":
            return self.group
        return {"branch": "branches", "network": "networks"}[str(options["setting"])]

    def forks(self, options: Mapping[str, Value]) -> list[list[int]]:
        """Where its branches part, [stage, children] each; empty where it has none."""
        if self.group_kind(options) != "branches":
            return []
        at = 0 if options.get("branches") == "head" else -1
        return self.fork or [[at, int(options["students"])]]

    def has_leader(self, options: Mapping[str, Value]) -> bool:
        return self.leader is not None and all(options[name] == value for name, value in self.leader.items())

    def without_neutral(self, options: Mapping[str, Value]) -> dict[str, Value]:
        """The options that enter a key."""
        return {name: value for name, value in options.items() if not (name in self.options and self.options[name].neutral == value)}


class NetworkEntry(Entry):
    input: int
    splits: list[int] = []
    sibling: str | None = None
    dropout: bool = False  # its builder takes a dropout rate


class Normalisation(Strict):
    mean: list[float] = Field(min_length=3, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=3, max_length=3)


class Augmentation(Strict):
    padding: int = Field(ge=0)  # pixels of zeros around the image before a random crop of its size
    flip: bool


PHOTOGRAPHS: dict[str, Any] = {
    "normalisation": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "augmentation": {"padding": 0, "flip": True},
}


class DatasetEntry(Entry):
    title: str
    classes: int
    train: int
    test: int
    size: int
    layout: Literal["arrays", "images"] = "arrays"  # images: a folder of image files that the user supplies
    normalisation: Normalisation | None = None
    augmentation: Augmentation | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual_for_photographs(cls, entry: Any) -> Any:
        """A user's images take ImageNet's normalisation, and flips, where nothing is said."""
        return PHOTOGRAPHS | entry if isinstance(entry, dict) and entry.get("layout") == "images" else entry


class Catalog(Strict):
    training: Entry
    numerics: dict[str, Entry]
    methods: dict[str, MethodEntry]
    networks: dict[str, NetworkEntry]
    datasets: dict[str, DatasetEntry]

    def sibling(self, network: str) -> str:
        """The network that stands in for this one at scale demo."""
        return self.networks[network].sibling or network


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that the catalog does not have."""
    known = list(known)
    return f"unknown {kind} '{name}'" + (nearest(name, known) or f" (known: {', '.join(known)})")


@cache
def catalog() -> Catalog:
    """The catalog that is shipped with the package."""
    return read_catalog(Path(str(files("okd") / "catalog.yaml")))


def read_catalog(file: Path) -> Catalog:
    """Read a catalog file. Raises Faults."""
    document = load(file, file.parent)
    read = validated(Catalog, document)
    if found := [document.fault(place, problem) for place, problem in inconsistencies(read)]:
        raise Faults(found)
    return read
