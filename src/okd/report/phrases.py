"""Numbers and sentences as the page shows them."""

from okd.evaluation.records import CellRecord, Measured, RunRecord, ThirdPartyRecord
from okd.report.states import STATES

UNITS = {"error": "error, percent", "accuracy": "accuracy, percent", "points": "percentage points", "number": "as printed"}
DIVERGED = "NaN"  # as the papers print it
POINTS = {"error": "points of error", "accuracy": "points of accuracy"}


def number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def spread(measured: Measured, decimals: int) -> str:
    return number(measured.mean, decimals) + ("" if measured.spread is None else f" ± {measured.spread:.{decimals}f}")


def as_printed(text: str) -> str:
    """The printed string with a real plus-minus sign."""
    return text.replace("+-", "±")


def third_party(other: ThirdPartyRecord, unit: str) -> str:
    """Somebody else's value in the cell's unit, with what was printed where that is another."""
    value = number(other.value, other.decimals) + ("" if other.spread is None else f" ± {number(other.spread, other.decimals)}")
    return value if other.unit == unit else f"{value} (printed as {other.unit} {as_printed(other.printed)})"


def header(columns: list[str]) -> list[tuple[str, list[str]]]:
    """Neighbouring labels "A / x", "A / y" under their common head: [("A", ["x", "y"])]; a plain label stands alone: [("A", [])]."""
    groups: list[tuple[str, list[str]]] = []
    for label in columns:
        head, _, rest = label.partition(" / ")
        if rest and groups and groups[-1][0] == head and groups[-1][1]:
            groups[-1][1].append(rest)
        else:
            groups.append((head, [rest] if rest else []))
    return groups


def hours(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 3600:,.2f} h" if seconds >= 600 else f"{seconds:.0f} s"


def exchanged(run: RunRecord) -> str:
    """What students on several nodes sent each other in a cycle, and what their gradients would have taken."""
    found = run.exchange
    if found is None:
        return ""
    ratio = found.gradients_per_student / found.sent_per_student
    return (
        f"{run.id}: {found.students} students on {found.nodes} nodes by {found.by}; in a cycle each student sent "
        f"{size(found.sent_per_student)} of soft labels, each node got {size(found.received_per_node)} back (measured); gradients in every "
        f"step would be {size(found.gradients_per_student)} each way and student, {ratio:,.3g} times as much (counted)"
    )


def size(count: float) -> str:
    """Bytes: 20 MB."""
    power = 0
    while count >= 999.5 and power < 4:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def anchor(address: str) -> str:
    """An address as an element's id."""
    return "cell-" + address.replace("/", "--")


def look(state: str) -> str:
    """A state as a class of the style sheet."""
    return "s-" + state.replace(" ", "-")


def sentence(cell: CellRecord) -> str:
    """The verdict, or why there is none."""
    if cell.verdict is None:
        words = f"{cell.state[:1].upper()}{cell.state[1:]}: {STATES[cell.state][1]}"
        words = f"{words} ({cell.detail})." if cell.detail else f"{words}."
        return f"{words} {_so_far(cell)}{_if_theirs_diverged(cell)}".rstrip()
    verdict, decimals, n = cell.verdict, max(cell.decimals, 2), len(cell.seeds)
    gap = _gap(cell)
    between = f"90 % interval {signed(verdict.low, decimals)} to {signed(verdict.high, decimals)}"
    reason = {
        "matches": f"lies inside ±{verdict.margin:g}, so the two match",
        "worse": f"lies beyond ±{verdict.margin:g} on the wrong side, so ours is worse",
        "better": f"lies beyond ±{verdict.margin:g} on the right side, so ours is better",
        "undecided": f"crosses ±{verdict.margin:g}, so {n} seed{'s' if n != 1 else ''} cannot decide",
        "cannot be decided": f"crosses ±{verdict.margin:g}, as any number of our seeds would: the paper's own spread is too wide",
    }[cell.state]
    if verdict.seeds_needed:
        reason += f"; about {verdict.seeds_needed} would, if difference and spread stay as they are"
    other = " Another reading of the paper's ± or of its number of runs gives another word." if "spread" in verdict.other_words else ""
    if verdict.best_epoch and "best epoch" in verdict.other_words:
        other += f" By the best epoch the word would be: {verdict.best_epoch.word}."
    return f"{gap}; its {between} {reason}.{other}"


def best_epoch(cell: CellRecord, reported: bool) -> str:
    """How far the best epoch is from the published value, by what right it may be held against it, and what it would give."""
    if cell.best_epoch is None or cell.published is None or cell.difference is None:
        return ""
    decimals = max(cell.decimals, 2)
    words = f"{signed(cell.best_epoch.mean - cell.published, decimals)} from the published value"
    words += ", which is a best epoch in the authors' code" if reported else ""
    found = cell.verdict.best_epoch if cell.verdict else None
    if found:
        words += (
            f"; 90 % interval {signed(found.low, decimals)} to {signed(found.high, decimals)}, by which the word would be: {found.word}"
        )
    return words


def _gap(cell: CellRecord) -> str:
    assert cell.difference is not None
    return f"Ours differs from the published value by {gap(cell)} {POINTS.get(cell.unit, 'points')}"


def _so_far(cell: CellRecord) -> str:
    """What a number without a verdict can say."""
    if cell.state == "counted" and cell.difference is not None:
        return "Equal as printed." if is_equal(cell) else f"Not equal as printed: {gap(cell)}."
    if cell.difference is None or cell.state != "too few seeds":
        return ""
    if cell.margin is None:
        return f"{_gap(cell)} so far."
    side = "less" if abs(cell.difference) < cell.margin else "more"
    reason = "how far seeds scatter is not known yet, so this is no verdict"
    return f"{_gap(cell)} so far, {side} than the margin of ±{cell.margin:g}; {reason}."


def _if_theirs_diverged(cell: CellRecord) -> str:
    """A paper that prints NaN is held to just that: ours diverges, or it does not. A reduced run is held to nothing."""
    reduced = cell.configuration is not None and bool(cell.configuration.unlike_paper)
    answer = None if reduced else {"diverged": "as ours did", "measured": "ours did not"}.get(cell.state)
    return f"The paper prints {DIVERGED}: its run diverged, {answer}." if answer and cell.printed == DIVERGED else ""


def gap(cell: CellRecord) -> str:
    """Ours minus the published value, signed; nothing where the two cannot be compared. Counts are equal as printed, or they are not."""
    if cell.state == "counted" and is_equal(cell):
        return "equal"
    return "" if cell.difference is None else signed(cell.difference, max(cell.decimals, 2))


def is_equal(cell: CellRecord) -> bool:
    """To the last printed digit."""
    return cell.difference is not None and round(cell.difference, cell.decimals) == 0


def memory(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def commands(cell: CellRecord) -> list[str]:
    """What to type for exactly this cell at the paper's recipe: choose it, then either engine."""
    return [f"okd plan --scale paper {cell.address} --save", "snakemake --cores 4", "dvc repro"]
