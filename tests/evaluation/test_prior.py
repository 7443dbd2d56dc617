"""What a table says of the spread between runs: each result once, however many cells show it."""

from collections import Counter
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from okd.evaluation.judgement import judged, our_prior
from okd.evaluation.records import Measured, TableRecord
from okd.evaluation.tables import Evaluation
from okd.evaluation.verdict import fit_prior
from okd.plan.planner import make_plan
from okd.plan.settings import open_project

ROOT = Path(__file__).parents[2]
N = 3


class Imagined:
    """A table of the papers in which every run has a number of its own, and cells show what these runs gave."""

    def __init__(self, name: str) -> None:
        self.evaluation = Evaluation(ROOT / "tests", make_plan(open_project(ROOT), scale="paper"), reproduce=[])  # no results there
        self.evaluation.root = ROOT
        (self.empty,) = (table for table in self.evaluation.tables() if table.id == name)
        self.published = {cell.address: cell.published or 0.0 for cell in self.empty.cells}

    def filled(self, random: np.random.Generator, sd: float) -> tuple[TableRecord, dict[tuple, list[float]]]:
        """The table, and the noise of every network of every run."""
        noise: dict[tuple, list[float]] = {}

        def values(address: str) -> list[float]:
            planned = self.evaluation.by_address[address]
            cell = planned.placed.cell
            assert cell is not None
            if cell.difference is not None:
                plus, minus = ([values(part) for part in side] for side in cell.difference)
                return [sum(part[i] for part in plus) - sum(part[i] for part in minus) for i in range(N)]
            trained = self.evaluation.plan.runs[planned.runs[0]].networks
            row = cell.student if len(trained) > 1 else None
            if (planned.replicates, row) not in noise:
                noise[planned.replicates, row] = random.normal(0, sd, N).tolist()
            return [self.published[address] + one for one in noise[planned.replicates, row]]

        cells = list(self.empty.cells)
        for index, cell in enumerate(cells):
            if self.evaluation.by_address[cell.address].replicates:
                found = values(cell.address)
                ours = Measured(mean=mean(found), spread=stdev(found), values=found)
                cells[index] = cell.model_copy(update={"state": "measured", "ours": ours})
        return self.empty.model_copy(update={"cells": cells}), noise


@pytest.mark.parametrize(("name", "shown", "distinct"), [("kdcl-t7", 38, 24), ("md-t1-cifar100", 24, 16)])
def test_gains_and_repeated_runs_do_not_enter(name: str, shown: int, distinct: int) -> None:
    """Table 7 of KDCL has 14 gains or dashes beside 26 networks, of which two only teach; MD's Table 1 has 4 networks alone in 12 cells."""
    imagined = Imagined(name)
    table, noise = imagined.filled(np.random.default_rng(3), 0.25)
    assert sum(cell.ours is not None for cell in table.cells) == shown
    assert len(noise) == distinct
    prior = our_prior(table, imagined.evaluation.results())
    expected = fit_prior([stdev(values) ** 2 for values in noise.values()], N - 1)
    assert prior is not None
    assert expected is not None
    assert prior.pooled == distinct * (N - 1)
    assert (prior.variance, prior.degrees) == (pytest.approx(expected.variance), pytest.approx(expected.degrees))


@pytest.mark.slow
def test_a_table_of_gains_is_decided_as_often_as_its_runs_allow(record_property) -> None:
    """A perfect replication of KDCL's Table 7 with a spread of 0.25, 300 draws; LOG.md has the figures."""
    imagined = Imagined("kdcl-t7")
    margins, once = imagined.evaluation.judged_margins(), imagined.evaluation.results()
    every = {address: address for address, planned in imagined.evaluation.by_address.items() if planned.replicates}
    found = dict[str, dict[str, float]]()
    for name, results in (("each result once", once), ("every cell", every)):
        words, spreads = Counter[str](), list[float]()
        for seed in range(300):
            table, _ = imagined.filled(np.random.default_rng(seed), 0.25)
            prior = our_prior(table, results)
            assert prior is not None
            spreads.append(prior.variance**0.5)
            words.update(cell.state for cell in judged(table, margins, results).cells if cell.verdict)
        found[name] = {word: round(100 * count / words.total(), 1) for word, count in sorted(words.items())}
        found[name]["median prior spread"] = round(float(np.median(spreads)), 3)
    record_property("table", "\n".join(f"{name}: {shares}" for name, shares in found.items()))
    assert found["each result once"]["matches"] == pytest.approx(16, abs=3)
    assert found["each result once"]["cannot be decided"] == pytest.approx(20, abs=4)
    assert found["every cell"]["cannot be decided"] > 40
