"""What `okd plan` says before anyone pays: tables, cells, runs, claims, price."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from okd.plan.planner import Plan
from okd.plan.price import Price, price
from okd.plan.rates import Kind
from okd.plan.store import finished_runs

SHOWN = 20  # runs in a preview for people


@dataclass(frozen=True, kw_only=True)
class Preview:
    plan: Plan
    price: Price
    done: frozenset[str]  # ids of finished runs
    devices: int

    @staticmethod
    def of(root: Path, plan: Plan, *, devices: int, device: Kind | None = None) -> "Preview":
        done = frozenset(run.id for run in finished_runs(root, plan.to_do))
        return Preview(plan=plan, price=price(root, plan.to_do, device=device), done=done, devices=devices)

    @property
    def cells(self) -> int:
        return len(self.plan.addresses)

    @property
    def tables(self) -> int:
        return len({address.partition("/")[0] for address in self.plan.addresses})

    @property
    def claims(self) -> list[str]:
        """That the plan would decide; arithmetic on printed numbers needs no plan."""
        return [claim.claim.id for claim in self.plan.decided() if not self.plan.addresses.isdisjoint(claim.addresses)]

    @property
    def reasons(self) -> Mapping[str, int]:
        """Chosen cells without runs, by why."""
        return Counter(cell.reason for cell in self.plan.cells if cell.address in self.plan.addresses and cell.reason)

    @property
    def runs_of_cells(self) -> int:
        """Runs if no two cells shared any."""
        return sum(len(cell.runs) for cell in self.plan.cells if cell.address in self.plan.addresses)

    def record(self) -> dict[str, Any]:
        """For --json."""
        total = self.price
        return {
            "scale": self.plan.scale,
            "tables": self.tables,
            "cells": self.cells,
            "without_runs": dict(self.reasons),
            "claims": self.claims,
            "runs_without_sharing": self.runs_of_cells,
            "runs": {run.id: {"key": run.key, "done": run.id in self.done} for run in self.plan.to_do},
            "price": {
                "hours": total.hours,
                "wall_hours": total.wall_hours(self.devices),
                "devices": self.devices,
                "device": total.device,
                "sources": total.sources,
                "disk_bytes": total.disk_bytes,
            },
        }

    def lines(self) -> list[str]:
        """For people."""
        runs, total = self.plan.to_do, self.price
        shared = f", {self.runs_of_cells} without sharing" if self.runs_of_cells != len(runs) else ""
        lines = [f"scale {self.plan.scale}: {self.tables} tables, {self.cells} cells, {len(runs)} runs ({len(self.done)} done{shared})"]
        lines += [f"  {count:4} cells: {reason}" for reason, count in sorted(self.reasons.items())]
        decides = ", ".join(self.claims) or ("none" if self.plan.scale == "paper" else "none: reduced runs decide nothing")
        lines.append(f"decides {len(self.claims)} of {len(self.plan.claims)} claims: {decides}")
        lines.append(f"still to pay: about {total}")
        if total.hours:
            word = total.device if self.devices == 1 else f"{total.device}s"
            lines.append(f"on {self.devices} {word}: about {_duration(total.wall_hours(self.devices))}")
        lines += [f"  {'done ' if run.id in self.done else 'to do'}  {run.id}" for run in runs[:SHOWN]]
        if len(runs) > SHOWN:
            lines.append(f"  ... and {len(runs) - SHOWN} more (--json lists all)")
        return lines


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(60 * hours))} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.1f} days"
