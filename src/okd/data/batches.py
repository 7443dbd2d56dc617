"""CIFAR's Python batches, read without unpickling: no object is ever made, a global is only a name.

A pickle is a program for a stack machine. This machine knows the few opcodes that the official files use, and runs nothing.
"""

import pickletools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from okd.data.arrays import DataError

PIXELS = 3072


@dataclass
class _Made:
    """What a REDUCE would have made by calling `name`, and the state that a BUILD gives it."""

    name: str
    arguments: object
    state: Any = None


@dataclass(frozen=True)
class _Name:
    """What a GLOBAL would have imported."""

    name: str


def read_batch(raw: bytes, *, rows: int, classes: int, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, 3072) uint8 and labels (rows,) int16. Raises DataError where the file is not exactly such a batch."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickletools grumbles at odd escapes before we can refuse them
            batch = _run(raw, most=16 * rows + 1000)
        assert type(batch) is dict
        return _pixels(batch["data"], rows), _labels(batch[labels], rows, classes)
    except (AssertionError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"not a CIFAR batch ({type(error).__name__}: {str(error)[:80]})") from None


def _run(raw: bytes, most: int) -> Any:
    """Run the program on a stack of plain values."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if number > most:
            raise ValueError("too many opcodes")
        match opcode.name:
            case "BININT1" | "BININT2" | "BININT" | "INT" | "SHORT_BINSTRING" | "BINSTRING" | "STRING":
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                memo[int(argument)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(memo[int(argument)])
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[opcode.name]())
            case "APPEND" | "APPENDS":
                items = since_mark() if opcode.name == "APPENDS" else [stack.pop()]
                _the(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = since_mark() if opcode.name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                keys = [_the(str, key) for key in items[::2]]
                _the(dict, stack[-1]).update(zip(keys, items[1::2], strict=True))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "NONE" | "NEWFALSE":
                stack.append(None if opcode.name == "NONE" else False)
            case "GLOBAL":
                stack.append(_Name(argument))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_Made(_the(_Name, stack.pop()).name, arguments))
            case "BUILD":
                state = stack.pop()
                _the(_Made, stack[-1]).state = state
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"opcode {other}")
    raise ValueError("no end")


def _pixels(made: Any, rows: int) -> np.ndarray:
    """The array of a numpy pickle: (version, shape, dtype, fortran order, bytes)."""
    assert _the(_Made, made).name in ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"), "array"
    _, shape, dtype, fortran, text = _the(tuple, made.state)
    assert _sizes(shape) == (rows, PIXELS), "shape"
    assert _the(_Made, dtype).name == "numpy dtype", "dtype"
    code = _the(tuple, dtype.arguments)[0]
    assert type(code) is str, "dtype"
    assert code == "u1", "dtype"
    assert fortran is False or (type(fortran) is int and fortran == 0), "order"
    raw = _the(str, text).encode("latin-1")
    assert len(raw) == rows * PIXELS, "length"
    return np.frombuffer(raw, np.uint8).reshape(rows, PIXELS)


def _labels(values: Any, rows: int, classes: int) -> np.ndarray:
    assert len(_the(list, values)) == rows, "labels"
    assert all(type(value) is int and 0 <= value < classes for value in values), "labels"
    return np.array(values, np.int16)


def _sizes(shape: Any) -> Sequence[int]:
    assert all(type(size) is int for size in _the(tuple, shape)), "shape"
    return shape


def _the(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__.strip('_').lower()} expected")
    return value
