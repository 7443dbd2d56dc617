"""What somebody else measured of our cells, in their units."""

from collections.abc import Sequence

from okd.evaluation.records import ThirdPartyRecord
from okd.plan.published import PlacedValue, Published


def third_party_records(values: Sequence[PlacedValue], unit: str) -> list[ThirdPartyRecord]:
    """`unit` is the cell's: error or accuracy."""
    return [_record(placed, unit) for placed in values]


def _record(placed: PlacedValue, unit: str) -> ThirdPartyRecord:
    source, published = placed.source, Published.parse(placed.value.printed)
    assert published.value is not None  # the schema refuses anything else
    return ThirdPartyRecord(
        source=source.source,
        what=source.what,
        trust=source.trust,
        printed=placed.value.printed,
        unit=source.unit,
        value=published.value if source.unit == unit else round(100.0 - published.value, published.decimals),
        spread=published.spread,
        decimals=published.decimals,
        note=placed.value.note,
    )
