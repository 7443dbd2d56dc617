"""Every state of a cell: its mark and what it means. Mark, word and look (style.css.j2) all differ, so that no colour is needed."""

STATES = {
    "matches": ("✓", "the 90 % interval of the difference lies inside the margin"),
    "worse": ("▲", "the interval lies beyond the margin, on the wrong side"),
    "better": ("▼", "the interval lies beyond the margin, on the right side"),
    "undecided": ("◐", "the interval crosses the margin: more seeds would tell"),
    "cannot be decided": ("◒", "the paper's own spread is wider than the margin: no number of our seeds would tell"),
    "measured": ("●", "all planned runs are done, and the paper prints nothing to hold them against"),
    "counted": ("#", "needs no training: counted from the network"),
    "reduced": ("▦", "from a reduced run: not a result, never judged"),
    "too few seeds": ("◌", "some of the planned runs are done"),
    "running": ("…", "a trainer is at work"),
    "diverged": ("✕", "a loss was not finite: kept, counted, never dropped"),
    "failed": ("!", "a run ended with an error and can be retried"),
    "stale": ("↻", "the result there belongs to another spec"),
    "not run": ("–", "nothing has been trained for it"),
    "data not available": ("∅", "the data set must be supplied"),
    "data not verified": ("?", "trained on data whose checksum differs"),
    "not built yet": ("□", "the pipeline does not have it yet"),
    "paper blank": (" ", "the paper prints nothing here"),
}
JUDGED = ("matches", "worse", "better", "undecided", "cannot be decided")
ATTENTION = ("failed", "diverged", "stale", "data not verified")  # runs and cells that somebody has to look at
# of claims, those that need attention first
OUTCOMES = {"contradicted": "✕", "smaller": "▽", "larger": "△", "undecided": "◐", "reproduced": "✓", "not run": "–"}
