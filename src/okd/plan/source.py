"""Reading what people write: strict YAML, strict schemas, every fault in one go with file and line.

YAML's own rules turn `on` into true, `010` into 8 and `12:30` into 750, and keep the last of two equal keys. Here a plain
scalar is an integer, a float, true, false, null or text; whatever looks like something else is a fault.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path as FilePath
from typing import Any, TypeAlias, TypeVar

import yaml

Path: TypeAlias = tuple[str | int, ...]  # where a value stands inside a document
Result = TypeVar("Result")

MAX_BYTES = 2_000_000
LONGEST_NUMBER = 30  # characters
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times faster
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# What YAML 1.1 readers take for a boolean, a number or a time, although it does not look like one to people.
TRAP = re.compile(
    r"(?i:yes|no|on|off|y|n)|True|TRUE|False|FALSE|Null|NULL|0[0-9]+|0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*_[0-9_.]*"
    r"|[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?|[-+]?\.(?i:inf|nan)|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?|[-+]?[0-9]+\.?[0-9]*([eE][-+]?[0-9]+)?"
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong in a file that a person wrote."""

    file: str
    line: int
    key: str
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{where}: {self.key}: {self.problem}" if self.key else f"{where}: {self.problem}"
        return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)  # one line, always


class Faults(ValueError):
    """Everything that is wrong, one line each; the command line ends with exit code 2."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: (fault.file, fault.line, fault.key))
        super().__init__("\n".join(dict.fromkeys(map(str, self.faults))))


@dataclass(frozen=True)
class Document:
    """A file's values, and the line on which each of them stands."""

    file: str
    data: dict[str, Any]
    lines: dict[Path, int]
    faults: tuple[Fault, ...] = ()  # values that nobody should write so; the schema may find more

    def line(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, problem: str) -> Fault:
        return Fault(file=self.file, line=self.line(path), key=dotted(path), problem=problem)


def dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def shown(value: object) -> str:
    """A value as YAML has it, and never more than a line."""
    text = {"True": "true", "False": "false", "None": "null"}.get(repr(value), repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(word: object, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" where one of the known words is close, else nothing."""
    names = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.6)
    return f", did you mean '{names[close[0]]}'?" if close else ""


def load(file: FilePath, root: FilePath) -> Document:
    """Read one YAML file strictly. Raises Faults, with the file's name relative to `root`, where it cannot be read at all."""
    name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)

    def fail(problem: str, line: int = 0) -> Faults:
        return Faults([Fault(file=name, line=line, key="", problem=problem)])

    try:
        raw = file.read_bytes()
    except OSError as error:
        raise fail(f"cannot be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise fail(f"is larger than {MAX_BYTES:,} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fail(f"is not UTF-8 (byte {error.start})") from None
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
                raise fail(f"'{mark}{event.anchor}' is not allowed: write the value out", event.start_mark.line + 1)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
        hint = " (a tab: indent with spaces)" if "\t" in line else ""
        raise fail(f"{error.problem or 'is not YAML'}{hint}", mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise fail(str(error).splitlines()[0]) from None
    if not nodes or nodes[0] is None:
        raise fail("is empty")
    if len(nodes) > 1:
        raise fail("holds more than one document", nodes[1].start_mark.line + 1)
    reader = _Reader(name)
    data = reader.value(nodes[0], ())
    if not isinstance(data, dict):
        raise fail(f"{shown(data)} is not a mapping of keys to values", 1)
    return Document(name, data, reader.lines, tuple(reader.faults))


class _Reader:
    """Turns YAML's nodes into plain values, remembering lines and collecting faults."""

    def __init__(self, file: str) -> None:
        self.file, self.faults, self.lines = file, list[Fault](), dict[Path, int]()

    def note(self, path: Path, problem: str) -> None:
        self.faults.append(Fault(file=self.file, line=self.lines.get(path, 1), key=dotted(path), problem=problem))

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rsplit(":", 1)[1] not in _PLAIN_TAGS:
            self.note(path, f"tag {node.tag!r} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            # Labels of rows and columns may look like anything; they are text all the same.
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag.endswith((":null", ":merge")):
                self.faults.append(Fault(file=self.file, line=key_node.start_mark.line + 1, key=dotted(path), problem="a key must be text"))
                continue
            key = key_node.value
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            if key in result:
                self.note((*path, key), "this key stands here twice")
            result[key] = self.value(value_node, (*path, key))
        return result

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        if node.style in ("'", '"', "|", ">"):
            return text
        if text in ("", "null", "~"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if len(text) <= LONGEST_NUMBER and INTEGER.fullmatch(text):
            return int(text)
        if len(text) <= LONGEST_NUMBER and FLOAT.fullmatch(text) and isfinite(float(text)):
            return float(text)
        if TRAP.fullmatch(text):
            self.note(path, f"'{text}' means different things to different readers; {_advice(text)}")
        return text


_PLAIN_TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value"}


def _advice(text: str) -> str:
    if re.fullmatch(r"[-+]?[0-9]+[eE][-+]?[0-9]+", text):
        return f"write {re.sub('([eE])', '.0e', text, count=1)} for a number"
    if text.lower() in ("yes", "on", "true", "y"):
        return "write true, or quote it"
    if text.lower() in ("no", "off", "false", "n"):
        return "write false, or quote it"
    return "write a plain number, or quote it"


def collect(actions: Iterable[Callable[[], Result]]) -> list[Result]:
    """Run every action and raise the faults of all of them together."""
    results, faults = list[Result](), list[Fault]()
    for action in actions:
        try:
            results.append(action())
        except Faults as error:
            faults += error.faults
    if faults:
        raise Faults(faults)
    return results
