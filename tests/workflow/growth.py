"""What the engines cost as the runs become many: `python tests/workflow/growth.py 40 1000` prints CPU seconds and memory.

With two numbers or more the exponent of each step from one to the next: 1 where twice the runs cost twice as much, start-up left in.
The results are the stub's, published by the trainer's own function; everything else is real.
"""

import math
import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from project import Checkout
from small import make_checkout
from stub import contents, record

from okd.plan.store import Index, Places
from okd.training.publish import publish_files

FAMILIES = ("wrn", "vgg", "densenet", "resnext", "alexnet", "mobilenet", "squeezenet", "resnet-bottleneck")
NETWORKS = ["resnet8", *(f"{family}-tiny" for family in FAMILIES)]
COMMANDS = {
    "okd plan": ("okd", "plan"),
    "snakemake -n": ("snakemake", "--dry-run", "--cores", "2"),
    "dvc status": ("dvc", "status"),
    "dvc repro": ("dvc", "repro"),
    "dvc commit -f": ("dvc", "commit", "--force"),
    "okd tables": ("okd", "tables"),
    "okd report": ("okd", "report"),
    "okd status": ("okd", "status"),
    "okd gc": ("okd", "gc", "--dry-run"),
}


SEEDS = 5


def paper(runs: int) -> str:
    """Ten cells of five seeds for each 50 runs, about as the papers have them; a tenth of the runs are taught."""
    return f"""\
title: Many runs
source: {{authors: Nobody, venue: nowhere}}
recipe: {{epochs: 2, batch_size: 64, lr: {{multistep: [0.1, 1]}}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}}
seeds: {SEEDS}
tables:
{"".join(tables(variant) for variant in range(max(1, runs // (len(NETWORKS) + 1) // SEEDS)))}"""


def tables(variant: int) -> str:
    number, cell = (f"-v{variant}", f"variant: v{variant}, ") if variant else ("", "")
    rows = "".join(f"      {name}: {{network: {name}}}\n" for name in NETWORKS)
    return f"""\
  - id: small-t1{number}
    title: Error on the digits
    cell: {{{cell}dataset: digits, statistic: student}}
    rows:
{rows}    columns:
      Baseline: {{method: baseline}}
  - id: small-t2{number}
    title: Taught
    cell: {{{cell}dataset: digits, network: resnet8, statistic: student}}
    rows:
      ResNet: {{}}
    columns:
      KD: {{method: kd, teacher: {{network: wrn-tiny, method: baseline}}}}
"""


def measured(checkout: Checkout, command: tuple[str, ...]) -> tuple[float, float, int]:
    """CPU seconds, memory in MB and exit code of a command and its children."""
    pid = os.posix_spawnp("sh", ["sh", "-c", 'cd "$0" && exec "$@" > /dev/null 2>&1', str(checkout.root), *command], checkout.environment)
    _, status, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def many(folder: Path, runs: int) -> Checkout:
    checkout = make_checkout(folder)
    (folder / "papers" / "small.yaml").write_text(paper(runs))
    (folder / "papers" / "scales.yaml").write_text((folder / "papers" / "scales.yaml").read_text().replace("/resnet/", "/resnet8/"))
    text = (folder / "papers" / "scales.yaml").read_text()
    (folder / "papers" / "scales.yaml").write_text(text.replace("small-t1/resnet8/one", "small-t2"))
    checkout.okd("plan")
    checkout.okd("fetch", "digits")
    return checkout


def finish(checkout: Checkout) -> None:
    for run in Index(checkout.root).all_runs():
        publish_files(Places(checkout.root, run), contents(run), lambda digests, run=run: record(run, digests), may_write=lambda: None)


def report(runs: int) -> tuple[int, dict[str, tuple[float, float, int]]]:
    """Print a row per command; return how many runs there are, and the rows."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = many(Path(folder) / "checkout", runs)
        planned = len(checkout.index())
        rows = {"snakemake -n, nothing done": measured(checkout, COMMANDS["snakemake -n"])}
        finish(checkout)
        for name in (
            "okd tables",
            "okd report",
            "dvc commit -f",
            "okd plan",
            "snakemake -n",
            "dvc status",
            "dvc repro",
            "okd gc",
            "okd status",
        ):
            rows[name] = measured(checkout, COMMANDS[name])
        print(f"{planned} runs, {sum(file.is_file() for file in (checkout.root / 'results').rglob('*'))} files")
        for name, (seconds, memory, code) in rows.items():
            ended = f"  ended with {code}" if code else ""
            print(f"  {name:28}{seconds:7.1f} CPU s {memory:6.0f} MB{ended}", flush=True)
    return planned, rows


def exponents(sizes: list[int]) -> None:
    measurements = [report(runs) for runs in sizes]
    for (before, first), (after, second) in pairwise(measurements):
        print(f"{before} to {after} runs: exponents of CPU seconds and memory")
        for name in first:
            time, memory = (math.log(second[name][at] / first[name][at]) / math.log(after / before) for at in (0, 1))
            print(f"  {name:28}{time:7.2f} {memory:7.2f}")


if __name__ == "__main__":
    exponents([int(number) for number in sys.argv[1:] or ["40", "1000"]])
