"""What the tables together say: claims, rank agreement, and the papers against each other."""

from collections.abc import Sequence

from okd.evaluation.claims import Curves, claim_records
from okd.evaluation.effects import Cells
from okd.evaluation.figuredata import curve_of
from okd.evaluation.finding_records import Findings
from okd.evaluation.judgement import our_prior
from okd.evaluation.ranking import rankings
from okd.evaluation.records import TableRecord
from okd.evaluation.tables import Evaluation


def findings(evaluation: Evaluation, tables: Sequence[TableRecord]) -> Findings:
    """Claims and ranks from the evaluated tables; `tables` come with their verdicts."""
    cells = Cells(
        records={cell.address: cell for table in tables for cell in table.cells},
        planned=evaluation.by_address,
        margins=evaluation.judged_margins(),
        priors={table.id: our_prior(table, evaluation.results()) for table in tables},
        scale=evaluation.plan.scale,
    )
    return Findings(
        claims=claim_records(evaluation.plan.claims, cells, _curves(evaluation)),
        ranks=rankings(list(tables), cells),
    )


def _curves(evaluation: Evaluation) -> Curves:
    """Epoch by epoch, the mean of every cell that a claim compares so."""
    named = [one for claim in evaluation.plan.claims for one in claim.comparisons if one.criterion.kind == "above"]
    curves: dict[str, dict[int, float]] = {}
    for address in dict.fromkeys(address for one in named for address in one.cells):
        planned = evaluation.by_address[address]
        if found := curve_of(evaluation.root, planned, evaluation.finished(planned)):
            curves[address] = {int(line[0]): line[1] for line in found[1]}
    return curves
