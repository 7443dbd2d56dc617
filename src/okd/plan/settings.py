"""The dials in params.yaml: the only truth about what is planned."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from okd.plan.catalog import Strict
from okd.plan.schema import Misplaced, validated
from okd.plan.source import Document, load

Scale = Literal["demo", "short", "paper"]
Numerics = Literal["exact", "fast", "fast-bf16", "fast-compiled", "fast-bf16-compiled"]


class Budget(Strict):
    device_hours: float = Field(gt=0)


class Devices(Strict):
    slots: int = Field(ge=1, le=64)


class DataSettings(Strict):
    accept: Literal["verified", "unverified"]
    folder: str | None = Field(min_length=1)  # holds official archives, or what was unpacked from them
    mirror: list[Annotated[str, Field(pattern="^https?://.")]] | None  # base addresses, tried before the official hosts
    root: str | None = Field(min_length=1)  # holds the prepared arrays, where they should not lie in data/


def _once(targets: list[str]) -> list[str]:
    twice = [((index,), f"'{target}' stands here twice") for index, target in enumerate(targets) if target in targets[:index]]
    if twice:
        raise Misplaced(*twice)
    return targets


class Settings(Strict):
    scale: Scale
    reproduce: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    seeds: int | None = Field(ge=1, le=100)
    budget: Budget
    devices: Devices
    numerics: Numerics | None
    data: DataSettings

    def numerics_at(self, scale: str) -> Numerics:
        """What runs of a scale are computed with: where nothing is said, the demo is exact and the real networks are fast."""
        return self.numerics or ("exact" if scale == "demo" else "fast")


@dataclass(frozen=True)
class Project:
    """A checkout: its root folder and its settings."""

    root: Path
    settings: Settings
    document: Document


def find_root() -> Path:
    """The nearest folder, from here upwards, that holds params.yaml and papers/. Raises ValueError."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "papers").is_dir():
            return folder
    raise ValueError(f"{here}: no params.yaml and papers/ here or above; run okd inside a checkout of the project")


def open_project(root: Path | None = None) -> Project:
    """Read params.yaml. Raises Faults."""
    root = root or find_root()
    document = load(root / "params.yaml", root)
    return Project(root, validated(Settings, document), document)


def save_choice(root: Path, *, scale: str, reproduce: list[str] | None) -> list[str]:
    """Write scale and targets into params.yaml, keeping every comment; return the lines that changed."""
    from ruamel.yaml import YAML  # the slow, comment-keeping reader: only needed to write
    from ruamel.yaml.comments import CommentedSeq

    file = root / "params.yaml"
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 200
    document = yaml.load(file.read_text(encoding="utf-8"))
    changed = []
    if document["scale"] != scale:
        document["scale"] = scale
        changed.append(f"scale: {scale}")
    if reproduce is not None and list(document["reproduce"]) != reproduce:
        targets = CommentedSeq(reproduce)
        targets.fa.set_flow_style()
        comment = document["reproduce"].ca.comment
        document["reproduce"] = targets
        if comment:
            targets.ca.comment = comment
        changed.append(f"reproduce: [{', '.join(reproduce)}]")
    if changed:
        write_atomically(file, lambda stream: yaml.dump(document, stream))
    return changed


def write_atomically(file: Path, write) -> None:
    """Replace a text file as a whole: a reader or a kill sees the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
