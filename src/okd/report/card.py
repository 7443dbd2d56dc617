"""A model card in Hugging Face's form: what the network is, how it was trained, our numbers beside the paper's."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from okd.evaluation.configuration import flat
from okd.evaluation.records import CellRecord
from okd.plan.run import Run
from okd.report.downloads import markdown_text
from okd.report.phrases import UNITS, as_printed, hours, spread


@dataclass(frozen=True, kw_only=True)
class Card:
    run: Run
    row: str
    network: str
    error: float | None  # of this network on the test set, in percent, at the last epoch
    cells: list[CellRecord]  # in which the run stands
    device: str
    seconds: float
    weights_sha256: str
    image_size: int


def model_card(card: Card) -> str:
    environment = Environment(loader=PackageLoader("okd.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"md": markdown_text, "hours": hours, "spread": spread, "as_printed": as_printed}
    return environment.get_template("card.md.j2").render(card=card, run=card.run, configuration=flat(card.run), units=UNITS)
