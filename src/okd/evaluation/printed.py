"""Whether a paper's own printed numbers satisfy its claims."""

from okd.evaluation.arithmetic import arithmetic_holds
from okd.evaluation.effects import Cells
from okd.evaluation.finding_records import PrintedClaim
from okd.plan.comparisons import Comparison, PlacedClaim


def printed_holds(comparison: Comparison, cells: Cells) -> bool | None:
    """Whether the paper's own numbers say so; None where it prints none."""
    criterion = comparison.criterion
    match criterion.kind:
        case "diverges":
            return cells.records[comparison.cells[0]].printed == "NaN"
        case "converges":
            return cells.records[comparison.cells[0]].published is not None
        case "above":
            return None
        case "cross_entropy" | "mixture":
            return arithmetic_holds(criterion)
    values = [value for effect in comparison.effects if (value := cells.printed(effect)) is not None]
    if len(values) < len(comparison.effects):
        return None
    match criterion.kind:
        case "equal":
            return abs(values[0]) <= (criterion.within or 0) + 1e-9
        case "at_least":
            return values[0] >= 0
        case "somewhere_worse":
            return max(values) > 0
    return min(values) > 0


def printed_claim(claim: PlacedClaim, cells: Cells) -> PrintedClaim:
    answers = [printed_holds(one, cells) for one in claim.comparisons]
    known = [answer for answer in answers if answer is not None]
    effects = [effect for one in claim.comparisons if len(one.effects) == 1 for effect in one.effects]
    values = [value for effect in effects if (value := cells.printed(effect)) is not None]
    word = "no numbers printed" if not known else "yes" if all(known) else "partly" if any(known) else "no"
    return PrintedClaim(
        pairs=len(known), hold=sum(known), holds=word, smallest=min(values, default=None), largest=max(values, default=None)
    )
