"""How far from a published value is still "matches": papers/margins.yaml."""

from pathlib import Path

from okd.plan.catalog import catalog, unknown
from okd.plan.source import Faults, load, shown


def read_margins(root: Path) -> dict[str, float]:
    """Points by data set. Raises Faults."""
    document = load(root / "papers" / "margins.yaml", root)
    known = catalog().datasets
    faults = list(document.faults)
    faults += [document.fault((name,), unknown("data set", name, known)) for name in document.data if name not in known]
    for name, value in document.data.items():
        if type(value) not in (int, float) or not 0 < value <= 10:
            faults.append(document.fault((name,), f"{shown(value)} is not a number of points above 0 and at most 10"))
    if faults:
        raise Faults(faults)
    return {name: float(value) for name, value in document.data.items()}
