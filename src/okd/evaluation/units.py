"""What a cell's number is a number of."""

from okd.evaluation.records import CellRecord

NUMBERS = {
    "params": "parameters",
    "params_training": "parameters",
    "test_cost": "1e8 operations",
    "train_cost": "1e8 operations",
    "exchanged": "MB",
    "exchanged_gradients": "MB",
    "disagreement": "L2 distance",
    "correlation": "correlation",
    "logit_max": "logit",
    "logit_min": "logit",
    "logit_variance": "squared logit",
}


def unit_of(cell: CellRecord) -> str:
    """error and accuracy (percent), points, or the unit of a number such as "M parameters"; nothing for a blank cell."""
    if cell.unit != "number":
        return cell.unit
    name = NUMBERS.get(cell.statistic, cell.statistic)
    return f"M {name}" if name == "parameters" and (cell.printed or "").endswith("M") else name
