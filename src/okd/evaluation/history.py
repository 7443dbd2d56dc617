"""A cell's statistic epoch by epoch, from the correct answers that a run counted after each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from okd.evaluation.evidence import history_rows
from okd.evaluation.outcomes import Outcome, student_of
from okd.evaluation.scores import percent_wrong
from okd.plan.paper import Cell
from okd.plan.run import Run
from okd.plan.store import Places


def history_of(root: Path, one: Outcome) -> list[dict[str, str]]:
    """history.csv of a finished run, a map an epoch; nothing where it cannot be read."""
    if one.evidence:
        return history_rows("\n".join(one.evidence.get("history", [])))
    try:
        return history_rows((Places(root, one.run).result / "history.csv").read_text(encoding="utf-8"))
    except OSError:
        return []


def error_by_epoch(cell: Cell, run: Run, rows: Iterable[Mapping[str, str]]) -> dict[int, float]:
    """A run's history as the cell counts errors, in percent; nothing where its statistic is not of single rows."""
    errors = {}
    for row in rows:
        try:
            total, counts = int(row["test_images"]), _counts(cell, run, row)
            if counts:
                picked = [max(counts)] if cell.statistic == "best_student" else counts
                errors[int(row["epoch"])] = sum(percent_wrong(count, total) for count in picked) / len(picked)
        except (KeyError, ValueError, TypeError):
            continue  # a torn line
    return errors


def _counts(cell: Cell, run: Run, row: Mapping[str, str]) -> list[int]:
    if cell.statistic in ("student", "best_student"):
        student = student_of(cell, run)
        names = [name for name in row if name.startswith("test_student_")] if student is None else [f"test_student_{student}"]
    else:
        names = [f"test_{cell.statistic}"]
    return [int(row[name]) for name in names if row.get(name)]


def best_epoch_error(root: Path, cell: Cell, replicate: Sequence[Outcome]) -> float | None:
    """The lowest top-1 error in percent that the cell's statistic had after any epoch: optimistic, since the test set chooses.

    A mean over students has one best epoch, that of the mean, as the papers' codes have it. Runs that are joined are separate
    trainings, each with an epoch of its own. None for most ensembles, top-5 errors and differences, which are not counted at every epoch.
    """
    if cell.top != 1 or cell.difference or (cell.join and cell.statistic != "student"):
        return None
    errors = [error_by_epoch(cell, one.run, history_of(root, one)) for one in replicate]
    return sum(min(found.values()) for found in errors) / len(errors) if all(errors) else None
