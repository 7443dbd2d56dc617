"""The agreement table: at each step what either engine wants, what one of them is told to do, and what was really trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from project import ROOT, Checkout, Done

Wanted = tuple[Sequence[str], Sequence[str]]  # runs that Snakemake would train; runs whose stage `dvc status` names
NOTHING: Wanted = ((), ())
HEAD = "| Step | Wanted | Command | Trained | Wanted then |\n|---|---|---|---|---|"
COMMANDS = {
    "snakemake": ("snakemake", "--cores", "2"),
    "dvc repro": ("dvc", "repro"),
    "dvc checkout": ("dvc", "checkout"),
    "dvc pull": ("dvc", "pull"),
    "dvc pull --allow-missing": ("dvc", "pull", "--allow-missing"),
    "okd record": ("okd", "record"),
}


@dataclass
class Agreement:
    checkout: Checkout
    rows: list[str] = field(default_factory=list)

    def step(
        self,
        words: str,
        change: Callable[[], object] = lambda: None,
        *,
        wants: Wanted | None = None,
        by: str,
        trains: Sequence[str] = (),
        then: Wanted | None = NOTHING,
        code: int = 0,
    ) -> Done:
        """Change something, see what both want, let one of them work, see what was trained and what both want now.

        Without `wants` nobody plans before `by` works; `trains` is in order where one run teaches another.
        """
        change()
        before = self.expect(f"{words}: before", wants)
        done = self.checkout.run(*COMMANDS[by], code=code)
        trained = self.checkout.trained()
        assert sorted(trained) == sorted(trains), f"{words}: trained {trained}"
        index = self.checkout.index()
        for run in trained:
            teacher = index[run].get("teacher", "").split("/")[-2:-1]
            assert not set(teacher) & set(trained[trained.index(run) :]), f"{words}: {run} before its teacher"
        after = self.expect(f"{words}: after", then)
        ends = f" (ends with {code})" if code else ""
        self.rows.append(f"| {words} | {before} | `{by}` | {len(trained)}{ends} | {after} |")
        return done

    def expect(self, where: str, wanted: Wanted | None) -> str:
        """Ask both what they want, which must be this."""
        if wanted is None:
            return ""
        found = (self.checkout.wanted_by_snakemake(), self.checkout.named_by_dvc())
        assert found == (sorted(wanted[0]), sorted(wanted[1])), f"{where}: Snakemake wants {found[0]}, DVC names {found[1]}"
        return " / ".join(str(len(runs)) for runs in found)

    def table(self) -> str:
        """The rows, which must be rows of ARCHITECTURE.md, letter for letter."""
        documented = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
        assert [row for row in self.rows if row not in documented] == []
        return "\n".join([HEAD, *self.rows])
