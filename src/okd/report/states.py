"""Every state of a cell: its mark and what it means. Mark, word and look (style.css.j2) all differ, so that no colour is needed."""

from okd.evaluation.records import VERDICTS

STATES = {
    "matches": ("✓", "the 90 % interval of the difference lies inside the margin"),
    "worse": ("▲", "the interval lies beyond the margin, on the wrong side"),
    "better": ("▼", "the interval lies beyond the margin, on the right side"),
    "undecided": ("◐", "the interval crosses the margin: more seeds would tell"),
    "cannot be decided": ("◒", "the paper's own spread is wider than the margin: no number of our seeds would tell"),
    "measured": ("●", "all planned runs are done, and the paper prints no number to hold them against"),
    "counted": ("#", "needs no training: counted from the network"),
    "reduced": ("▦", "from a reduced run: not a result, never judged"),
    "other numerics": ("≈", "from evidence that was computed with other numerics than planned: shown, never judged"),
    "too few seeds": ("◌", "some of the planned runs are done"),
    "running": ("…", "a trainer is at work"),
    "diverged": ("✕", "a loss was not finite, or runs ended near chance: kept, counted, never dropped"),
    "failed": ("!", "a run ended with an error and can be retried"),
    "stale": ("↻", "the result there belongs to another spec"),
    "not run": ("–", "nothing has been trained for it"),
    "data not available": ("∅", "the data set must be supplied"),
    "data not verified": ("?", "trained on data whose checksum differs"),
    "not built yet": ("□", "the pipeline does not have it yet"),
    "paper blank": (" ", "the paper prints nothing here"),
}
JUDGED = VERDICTS
ATTENTION = ("failed", "diverged", "stale", "data not verified")  # runs and cells that somebody has to look at
# by state: on light, on dark paper; all differ, and none tells red from green alone
TONES = {
    "matches": ("#1d5fa8", "#7ab5f5"),
    "worse": ("#a8441a", "#f0a07a"),
    "better": ("#00695c", "#5fd0c0"),
    "undecided": ("#6b3fa0", "#c3a0f0"),
    "cannot be decided": ("#8e2f78", "#e79ad6"),
    "measured": ("#0b6478", "#6fc7dc"),
    "counted": ("#47566b", "#b3c2d6"),
    "reduced": ("#66604f", "#c9c1a8"),
    "other numerics": ("#3c5f1e", "#b4d68c"),
    "too few seeds": ("#7a5a00", "#e0c35a"),
    "running": ("#2e6b3e", "#86d39a"),
    "diverged": ("#a8144a", "#ff9fbb"),
    "failed": ("#1c2430", "#ffffff"),
    "stale": ("#7d4a24", "#dfae86"),
    "not run": ("#5b6573", "#a9b4c2"),
    "data not available": ("#4c6363", "#a5c2c2"),
    "data not verified": ("#8a4b00", "#ffc17a"),
    "not built yet": ("#57506b", "#bdb4d6"),
    "paper blank": ("#6a6a6a", "#bcbcbc"),
}
# of claims, those that need attention first
OUTCOMES = {"contradicted": "✕", "smaller": "▽", "larger": "△", "undecided": "◐", "reproduced": "✓", "not run": "–"}
