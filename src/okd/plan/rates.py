"""How fast training goes, and how we know: from earlier results on this kind of device, from a calibration, or by a constant.

A rate is counted operations per second of training, evaluation included. scratch/calibration.json, which `okd bench --calibrate`
writes, is {"version": 1, "rates": [{"method", "networks": "a,b", "numerics", "kind": "GPU" or "CPU core", "operations_per_s"}, ...]}.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from okd.plan.run import Run
from okd.plan.store import read_json, write_json

Kind = Literal["GPU", "CPU core"]
Source = Literal["results", "calibration", "constant"]
Thing = tuple[str, str, str, str]  # method, networks, numerics, kind of device

# Where nothing has been measured yet. LOG.md, 2026-11-26: on one H200 ResNet-32 groups train at 1.3e13 to 1.7e13 (fast); wider networks
# use a GPU better, so that for them a price is an upper bound.
CONSTANT: dict[str, float] = {"GPU": 1.5e13, "CPU core": 6.0e10}
CALIBRATION = "scratch/calibration.json"


def has_gpu() -> bool:
    return Path("/proc/driver/nvidia/gpus").is_dir()


@dataclass(frozen=True)
class Rates:
    results: Mapping[Thing, float]
    calibration: Mapping[Thing, float]

    def of(self, run: Run, kind: Kind) -> tuple[float, Source]:
        """Of this method and these networks; a calibration also of these networks under other methods."""
        thing = thing_of(run, kind)
        if rate := self.results.get(thing):
            return rate, "results"
        if rate := self.calibration.get(thing):
            return rate, "calibration"
        alike = [rate for (_, *rest), rate in self.calibration.items() if tuple(rest) == thing[1:]]
        return (mean(alike), "calibration") if alike else (CONSTANT[kind], "constant")


def thing_of(run: Run, kind: str) -> Thing:
    return (run.method.name, ",".join(network.name for network in run.networks), run.numerics.name, kind)


def read_rates(root: Path, operations: Any) -> Rates:
    """`operations(run, epochs)` counts what a training of so many epochs computes."""
    return Rates(dict(_of_results(root, operations)), _of_calibration(root))


def _of_results(root: Path, operations: Any) -> Iterable[tuple[Thing, float]]:
    """By result, in the order of their names: the last one of a kind counts.

    A result that is damaged, or of things that the catalog no longer has, is passed over: a price is an estimate.
    """
    for file in sorted((root / "results").glob("*/*/*/result.json")):
        result = read_json(file) or {}
        try:
            run = Run.from_json(file.with_name("spec.json").read_text(encoding="utf-8"))
            rate = operations(run, int(result["epochs"])) / float(result["seconds"])
            thing = thing_of(run, "GPU" if "CUDA" in result["device"] else "CPU core")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            continue
        if rate > 0:
            yield thing, rate


def _of_calibration(root: Path) -> dict[Thing, float]:
    """Rows that are not as they should be are passed over: a price is an estimate."""
    rows = (read_json(root / CALIBRATION) or {}).get("rates")
    found: dict[Thing, float] = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            rate = float(row["operations_per_s"])
            thing = (str(row["method"]), str(row["networks"]), str(row["numerics"]), str(row["kind"]))
        except (KeyError, TypeError, ValueError):
            continue
        if rate > 0:
            found[thing] = rate
    return found


def store_rates(root: Path, rows: Iterable[Mapping[str, str | float]]) -> Path:
    """Add rows to the calibration, each in the place of what it had for the same thing; return the file."""
    file, fields = root / CALIBRATION, ("method", "networks", "numerics", "kind")
    old = [dict(zip(fields, thing, strict=True)) | {"operations_per_s": rate} for thing, rate in _of_calibration(root).items()]
    rates = {tuple(str(row[name]) for name in fields): row for row in [*old, *rows]}
    write_json(file, {"version": 1, "rates": list(rates.values())})
    return file
