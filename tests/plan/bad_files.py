"""The files that test_bad_input.py spoils, and what must be said of each: what cannot be read, wrong keys, types and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCALES = """\
demo:
  dataset: digits
  seeds: 1
  recipe: {epochs: 1, batch_size: 64, lr: {multistep: [0.1]}}
  options: {ramp_up: 1}
  cells: [small-t1/resnet/one]
short: {factor: 0.1, seeds: 1}
"""
PAPER = """\
title: A small paper
source: {authors: Nobody, venue: nowhere}
recipe: {epochs: 2, batch_size: 64, lr: {multistep: [0.1, 1]}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
methods:
  one: {temperature: 3.0}
seeds: 1
tables:
  - id: small-t1
    title: Error on the digits
    cell: {dataset: digits, network: resnet8, statistic: student}
    rows:
      ResNet: {}
    columns:
      Baseline: {method: baseline}
      ONE: {method: one}
      DML: {method: dml}
      KD: {method: kd, teacher: {network: wrn-tiny, method: baseline}}
    published:
      ResNet: ["6.93", "5.99", "N/A", null]
"""
DIALS, SMALL, SCALE, MARGINS = "params.yaml", "papers/small.yaml", "papers/scales.yaml", "papers/margins.yaml"
AT = "{file}:{at}: "


@dataclass(frozen=True)
class Bad:
    """`change` replaces one text by another, or does anything to the file; `says` are the lines, {at} where the new text begins."""

    name: str
    file: str
    change: tuple[str, str] | Callable[[Path], object]
    says: tuple[str, ...]


def bad(name: str, file: str, change: tuple[str, str] | Callable[[Path], object], *says: str) -> Bad:
    return Bad(name, file, change, says)


def recipe(name: str, old: str, new: str, says: str) -> Bad:
    """A fault in the paper's recipe."""
    return bad(name, SMALL, (old, new), f"{AT}recipe.{says}")


def column(name: str, old: str, new: str, says: str) -> Bad:
    """A fault in a column of the table."""
    return bad(name, SMALL, (old, new), f"{AT}small-t1.columns.{says}")


def named(name: str, value: str, shown: str) -> Bad:
    says = f"{AT}tables.0.id: {shown} is not 1 to 121 lower-case letters, digits and . + -, the first a letter or digit"
    return bad(name, SMALL, ("id: small-t1", f"id: {value}"), says)


TRAP = "means different things to different readers; write a plain number, or quote it"
FILES = [
    bad("missing", SCALE, Path.unlink, "{file}: cannot be read (No such file or directory)"),
    bad("empty", DIALS, lambda file: file.write_text(""), "{file}: is empty"),
    bad("a directory", SCALE, lambda file: (file.unlink(), file.mkdir()), "{file}: cannot be read (Is a directory)"),
    bad("not UTF-8", MARGINS, lambda file: file.write_bytes(b"digits: \xe9\n"), "{file}: is not UTF-8 (byte 8)"),
    bad("a tab", SMALL, ("  one:", "\tone:"), "{file}:{at}: found character that cannot start any token (a tab: indent with spaces)"),
    bad("unclosed brace", SMALL, ("temperature: 3.0}", "temperature: 3.0"), "{file}:{next}: did not find expected ',' or '}}'"),
    bad("another ending", SMALL, lambda file: file.with_name("mine.yml").touch(), "papers/mine.yml: must end with .yaml to be read"),
    bad("a list", DIALS, lambda file: file.write_text("- 1\n"), "{file}:1: [1] is not a mapping of keys to values"),
    bad("two documents", SMALL, ("seeds: 1", "---\nseeds: 1"), "{file}:{next}: holds more than one document"),
]
SYNTAX = [
    bad("duplicate key", SMALL, ("seeds: 1", "title: Again\nseeds: 1"), "{file}:{at}: title: this key stands here twice"),
    bad("alias bomb", SMALL, ("seeds: 1", "a: &a [x, x]\nb: [*a, *a]"), "{file}:{at}: '&a' is not allowed: write the value out"),
    bad("self-reference", SMALL, ("seeds: 1", "seeds: &a [*a]"), "{file}:{at}: '&a' is not allowed: write the value out"),
    bad(
        "python object",
        DIALS,
        ("scale: paper", 'scale: !!python/object/apply:os.system ["touch marker"]'),
        "{file}:{at}: scale: tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed",
    ),
    bad("unknown tag", DIALS, ("scale: paper", "scale: !secret paper"), "{file}:{at}: scale: tag '!secret' is not allowed"),
    bad("a list for a key", DIALS, ("seeds: null", "[1, 2]: 3\nseeds: null"), "{file}:{at}: a key must be text"),
    bad("null for a key", DIALS, ("seeds: null", "null: 3\nseeds: null"), "{file}:{at}: a key must be text"),
    bad("5 MB", DIALS, lambda file: file.write_text("# x\n" * 1_300_000), "{file}: is larger than 2,000,000 bytes"),
]
KEYS = [
    bad(
        "unknown key",
        SMALL,
        ("seeds: 1", "colour: red\nseeds: 1"),
        f"{AT}colour: unknown key (known: title, label, source, recipe, methods, seeds, assumptions, deviations, claims, third_party, "
        "tables)",
    ),
    bad(
        "typo in a key",
        SMALL,
        ("seeds: 1", "sedes: 1"),
        "{file}:{top}: seeds: is missing",
        f"{AT}sedes: unknown key, did you mean 'seeds'?",
    ),
    bad(
        "wrong case",
        DIALS,
        ("numerics: exact", "Numerics: exact"),
        "{file}:{top}: numerics: is missing",
        f"{AT}Numerics: unknown key, did you mean 'numerics'?",
    ),
    bad("missing key", DIALS, ("numerics: exact", ""), "{file}:{top}: numerics: is missing"),
    bad(
        "wrong nesting",
        SMALL,
        ("source: {authors: Nobody, venue: nowhere}", "source: Nobody"),
        f"{AT}source: 'Nobody' is not a mapping of keys to values",
    ),
    bad(
        "a section of null",
        SMALL,
        ("source: {authors: Nobody, venue: nowhere}", "source:"),
        f"{AT}source: null is not a mapping of keys to values",
    ),
]
TYPES = [
    recipe(
        "1e-1", "[0.1, 1]", "[1e-1, 1]", "lr.multistep.0: '1e-1' means different things to different readers; write 1.0e-1 for a number"
    ),
    recipe("a number in quotes", "[0.1, 1]", '["0.1", 1]', "lr.multistep.0: '0.1' is not a number"),
    recipe("epochs 3.0", "epochs: 2", "epochs: 3.0", "epochs: 3.0 is not a whole number"),
    recipe("epochs true", "epochs: 2", "epochs: true", "epochs: true is not a whole number"),
    bad("seeds in a list", SMALL, ("seeds: 1", "seeds: [1]"), f"{AT}seeds: [1] is not a whole number"),
    recipe("a list for a number", "momentum: 0.9", "momentum: [0.9]", "momentum: [0.9] is not a number"),
    recipe("a date", "weight_decay: 5.0e-4", "weight_decay: 2020-01-01", f"weight_decay: '2020-01-01' {TRAP}"),
    recipe("null for a number", "momentum: 0.9", "momentum: null", "momentum: null is not a number"),
    bad("a number for a folder", DIALS, ("root: null", "root: 3"), f"{AT}data.root: 3 is not text"),
    bad(
        "the home of nobody",
        DIALS,
        ("folder: null", "folder: ~nobody-of-this-name/x"),
        f"{AT}data.folder: '~nobody-of-this-name/x': nobody here has the home that it begins with",
    ),
    bad("no folder", DIALS, ("root: null", 'root: ""'), f"{AT}data.root: '' must have at least 1 characters"),
]
NUMBERS = [
    recipe("rate 0", "[0.1, 1]", "[0, 1]", "lr.multistep: initial rate 0 is not above 0 and at most 10"),
    recipe("rate -1", "[0.1, 1]", "[-1, 1]", "lr.multistep: initial rate -1 is not above 0 and at most 10"),
    recipe("rate nan", "[0.1, 1]", "[.nan, 1]", f"lr.multistep.0: '.nan' {TRAP}"),
    recipe("rate inf", "[0.1, 1]", "[.inf, 1]", f"lr.multistep.0: '.inf' {TRAP}"),
    recipe("rate 1.0e999", "[0.1, 1]", "[1.0e999, 1]", f"lr.multistep.0: '1.0e999' {TRAP}"),
    recipe("rate 1.0e+6", "[0.1, 1]", "[1.0e+6, 1]", "lr.multistep: initial rate 1000000.0 is not above 0 and at most 10"),
    recipe("epochs 0", "epochs: 2", "epochs: 0", "epochs: 0 must be at least 1"),
    recipe("epochs -5", "epochs: 2", "epochs: -5", "epochs: -5 must be at least 1"),
    recipe("epochs 1000000000", "epochs: 2", "epochs: 1000000000", "epochs: 1000000000 must be at most 100000"),
    recipe("epochs 010", "epochs: 2", "epochs: 010", f"epochs: '010' {TRAP}"),
    recipe("batch 0", "batch_size: 64", "batch_size: 0", "batch_size: 0 must be at least 2"),
    recipe("batch too large", "batch_size: 64", "batch_size: 2000", "batch_size: 2000 is more than the 1437 training images of digits"),
    bad("temperature 0", SMALL, ("temperature: 3.0", "temperature: 0"), f"{AT}methods.one.temperature: 0 must be above 0"),
    bad("temperature -1", SMALL, ("temperature: 3.0", "temperature: -1.0"), f"{AT}methods.one.temperature: -1.0 must be above 0"),
]

GOOD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "byte order mark and CRLF": (DIALS, lambda file: file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))),
    "an editor's lock": (SMALL, lambda file: file.with_name(".#small.yaml").symlink_to("somebody@somewhere.1")),
    "no line end": (SMALL, lambda file: file.write_text(file.read_text().rstrip())),
    "a label that looks like a number": (SMALL, lambda file: file.write_text(file.read_text().replace("Baseline:", "010:"))),
    "any text as a title": (SMALL, lambda file: file.write_text(file.read_text().replace("A small paper", "'<b>$(x)</b>; ${y} {z} %s'"))),
}
