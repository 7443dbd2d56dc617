"""What figures show beyond the numbers of a table: values epoch by epoch, and soft labels."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from okd.evaluation.history import error_by_epoch, history_of
from okd.evaluation.outcomes import Outcome
from okd.evaluation.records import Curve, FigureData, SoftLabels
from okd.evaluation.scores import Predictions, softmax
from okd.plan.paper import Table
from okd.plan.planner import PlannedCell
from okd.plan.store import Places

MOST_POINTS = 60
CLASSES_SHOWN = 4


def curve_of(root: Path, planned: PlannedCell, finished: Iterable[list[Outcome]]) -> tuple[Curve, list[list[float]]] | None:
    """The thinned curve, and every epoch: [epoch, mean, low, high]."""
    cell = planned.placed.cell
    if cell is None or cell.difference or cell.join or cell.top != 1:
        return None
    runs = [error_by_epoch(cell, replicate[0].run, history_of(root, replicate[0])) for replicate in finished]
    epochs = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    if not epochs:
        return None
    values = np.array([[100.0 - run[epoch] if cell.unit == "accuracy" else run[epoch] for epoch in epochs] for run in runs])
    rounded = [np.round(part, 4).tolist() for part in (values.mean(axis=0), values.min(axis=0), values.max(axis=0))]
    kept = sorted({round(index) for index in np.linspace(0, len(epochs) - 1, min(MOST_POINTS, len(epochs)))})
    mean, low, high = ([part[index] for index in kept] for part in rounded)
    place = planned.placed
    curve = Curve(
        address=planned.address, row=place.row, column=place.column, epochs=[epochs[index] for index in kept], mean=mean, low=low, high=high
    )
    return curve, [list(line) for line in zip(epochs, *rounded, strict=True)]


def soft_labels_of(root: Path, planned: PlannedCell, first: Outcome) -> list[SoftLabels]:
    """The mean answer of student 0 to the test images of the first classes; the temperature is the number in the column's label."""
    number = re.search(r"[0-9.]+", planned.placed.column)
    file = Places(root, first.run).result / "predictions.npz"
    if number is None or first.evidence or not file.is_file():
        return []
    predictions, temperature = Predictions.read(file), float(number[0])
    answers = softmax(predictions.logits("student_0") / temperature)
    return [
        SoftLabels(
            address=planned.address,
            column=planned.placed.column,
            temperature=temperature,
            label=label,
            probabilities=np.round(answers[predictions.labels == label].mean(axis=0), 4).tolist(),
        )
        for label in np.unique(predictions.labels)[:CLASSES_SHOWN].tolist()
    ]


def figure_data(root: Path, table: Table, cells: Iterable[tuple[PlannedCell, list[list[Outcome]]]]) -> tuple[FigureData, str] | None:
    """Of a table that draws curves or soft labels, with all of it as CSV; `cells` come with their finished replicates."""
    curves, lines, labels = list[Curve](), list[list[object]](), list[SoftLabels]()
    for planned, finished in cells:
        if table.draw == "curves" and (found := curve_of(root, planned, finished)):
            curves.append(found[0])
            lines += [[planned.address, *line] for line in found[1]]
        if table.draw == "soft-labels" and finished:
            labels += soft_labels_of(root, planned, finished[0][0])
    if not curves and not labels:
        return None
    header = ["address", "epoch", "mean", "low", "high"] if curves else ["address", "temperature", "label", "class", "probability"]
    lines += [[one.address, one.temperature, one.label, k, p] for one in labels for k, p in enumerate(one.probabilities)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *lines])
    return FigureData(curves=curves, soft_labels=labels), text.getvalue()
