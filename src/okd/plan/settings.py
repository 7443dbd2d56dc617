"""The dials in params.yaml: the only truth about what is planned."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field

from okd.plan.catalog import Strict
from okd.plan.schema import Misplaced, validated
from okd.plan.source import FLOAT, INTEGER, TRAP, Document, load, shown

Scale = Literal["demo", "short", "paper"]
Numerics = Literal["exact", "fast", "fast-bf16", "fast-compiled", "fast-bf16-compiled"]


class Budget(Strict):
    device_hours: float = Field(gt=0)


class Devices(Strict):
    slots: int = Field(ge=1, le=64)


def _at_home(folder: str) -> str:
    try:
        Path(folder).expanduser()
    except RuntimeError:
        raise ValueError(f"{shown(folder)}: nobody here has the home that it begins with") from None
    return folder


Folder = Annotated[str, Field(min_length=1), AfterValidator(_at_home)]


class DataSettings(Strict):
    accept: Literal["verified", "unverified"]
    folder: Folder | None  # holds official archives, or what was unpacked from them
    mirror: list[Annotated[str, Field(pattern="^https?://.")]] | None  # base addresses, tried before the official hosts
    root: Folder | None  # holds the prepared arrays, where they should not lie in data/


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
    """Write scale and targets into params.yaml, touching nothing else in it; return the lines that changed."""
    file = (root / "params.yaml").resolve()  # a link stays one
    text = file.read_bytes().decode("utf-8")
    old = load(file, file.parent).data
    new = {} if old["scale"] == scale else {"scale": scale}
    if reproduce is not None and old["reproduce"] != (targets := list(dict.fromkeys(reproduce))):
        new["reproduce"] = f"[{', '.join(map(_plain, targets))}]"
    if new:
        for key, value in reversed(yaml.compose(text, Loader=yaml.SafeLoader).value):
            if key.value in new:
                text = _replaced(text, key, value, new[key.value])
        write_atomically(file, lambda stream: stream.write(text))
    return [f"{key}: {value}" for key, value in new.items()]


def _replaced(text: str, key: yaml.Node, value: yaml.Node, new: str) -> str:
    """The text with another value of a key, what stands behind it on its line kept."""
    block = isinstance(value, yaml.SequenceNode) and not value.flow_style
    end = value.value[-1].end_mark if block else value.end_mark
    between = text[key.end_mark.index : value.start_mark.index].partition("\n")[0].removeprefix(":") if block else ""
    return f"{text[: key.end_mark.index]}: {new}{between.rstrip()}{text[end.index :]}"


def _plain(target: str) -> str:
    """In quotes where readers would take it for something else than text."""
    odd = any(pattern.fullmatch(target) for pattern in (INTEGER, FLOAT, TRAP)) or target in ("null", "true", "false")
    return f'"{target}"' if odd else target


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
