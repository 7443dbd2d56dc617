"""Where a run's files are, and what "done" means. Nothing but result.json, written last, means done."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from okd.plan.planner import Plan
from okd.plan.run import Run
from okd.plan.settings import write_atomically

ODD_PLAN = "is damaged, edited or of another version: run `okd plan`"
FILES = ("spec.json", "weights.safetensors", "predictions.npz", "history.csv", "result.json")


@dataclass(frozen=True)
class Places:
    """The folders of one run."""

    root: Path
    run: Run

    @property
    def results(self) -> Path:
        return self.root / "results" / self.run.scale

    @property
    def folder(self) -> Path:
        """What DVC tracks: `<key>/` and the file `key`."""
        return self.results / self.run.id

    @property
    def result(self) -> Path:
        """What Snakemake tracks: the folder of the five files, named by the key."""
        return self.folder / self.run.key

    @property
    def scratch(self) -> Path:
        return self.root / "scratch" / self.run.id / self.run.key

    @property
    def failure(self) -> Path:
        return self.scratch / "failure.json"

    @property
    def progress(self) -> Path:
        return self.scratch / "progress.json"

    def finished(self) -> bool:
        """Five files under the right key: what Snakemake looks at, too. The file `key` only repeats it for DVC."""
        return all((self.result / name).is_file() for name in FILES)

    def stored_key(self) -> str | None:
        try:
            return (self.folder / "key").read_text().strip()
        except OSError:
            return None

    def mend_key(self) -> None:
        """Put `key` back beside a finished result, where somebody took it away."""
        if self.stored_key() != self.run.key:
            write_atomically(self.folder / "key", lambda stream: stream.write(f"{self.run.key}\n"))


def read_json(file: Path) -> dict[str, Any] | None:
    """A JSON object, or None where the file is missing, torn or not strict JSON."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def write_json(file: Path, value: Any) -> None:
    """Strict JSON, atomically."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(file, lambda stream: stream.write(text))


@dataclass(frozen=True)
class Index:
    """plan/index.json: what both engines read."""

    root: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The index; empty where there is none yet. Raises ValueError where it is not what `okd plan` writes."""
        file = self.root / "plan" / "index.json"
        content = read_json(file)
        if content is None and not file.exists():
            return {}
        rows = (content or {}).get("run_index")
        if not isinstance(rows, dict) or not all(isinstance(row, dict) and {"key", "dataset"} <= set(row) for row in rows.values()):
            raise ValueError(f"plan/{file.name} {ODD_PLAN}")
        return content or {}

    @property
    def runs(self) -> dict[str, dict[str, str]]:
        return self.content.get("run_index", {})

    def key(self, run_id: str) -> str | None:
        """What is planned under this id; None where nothing is, or nobody can tell."""
        try:
            return self.runs.get(run_id, {}).get("key")
        except ValueError:
            return None

    def run(self, run_id: str) -> Run:
        """Read a planned run. Raises ValueError with the nearest known ids, or where its file is not what `okd plan` writes."""
        from okd.plan.source import nearest

        if run_id not in self.runs:
            raise ValueError(f"no planned run is called '{run_id}'{nearest(run_id, self.runs) or '; `okd status` lists what is planned'}")
        name = f"plan/runs/{run_id}.json"
        try:
            run = Run.from_json((self.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{name} is missing: run `okd plan`") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{name} {ODD_PLAN}") from None
        if run.id != run_id:
            raise ValueError(f"{name} {ODD_PLAN}")
        return run

    def all_runs(self) -> list[Run]:
        return [self.run(run_id) for run_id in self.runs]


def index_of(plan: Plan) -> dict[str, Any]:
    """What plan/index.json says: for each run its key, data set and what must be there before it."""
    rows: dict[str, dict[str, str]] = {}
    results = f"results/{plan.scale}"
    for run in plan.to_do:
        row = {"key": run.key, "dataset": run.dataset.name}
        if run.teacher:
            row |= {"after": f"{results}/{run.teacher}/key", "teacher": f"{results}/{run.teacher}/{run.teacher_key}"}
        else:
            row |= {"after": f"data/{run.dataset.name}.manifest.json"}
        rows[run.id] = row
    return {
        "scale": plan.scale,
        "results": results,
        "run_index": dict(sorted(rows.items())),
        "data_index": {name: {} for name in sorted({row["dataset"] for row in rows.values()})},
        "table_index": [table.id for paper in plan.papers.values() for table in paper.tables],
    }


def write_plan(root: Path, plan: Plan) -> bool:
    """Make plan/ follow the plan, touching only what changed; say whether dvc.yaml now expands to something else."""
    folder = root / "plan" / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    new = index_of(plan)
    try:
        old = Index(root).content
    except ValueError:
        old = {}  # whatever it was, it becomes another
    texts = {f"{run.id}.json": run.to_json() for run in plan.to_do}
    for name, text in texts.items():
        _write_if_changed(folder / name, text)
    _write_if_changed(root / "plan" / "index.json", json.dumps(new, indent=1) + "\n")
    for file in folder.glob("*.json"):
        if file.name not in texts:
            file.unlink(missing_ok=True)  # another process may follow the same plan
    if not plan.to_do:
        (root / new["results"]).mkdir(parents=True, exist_ok=True)  # DVC wants it there, and no run will make it
    return _shape(new) != _shape(old)


def _shape(index: dict[str, Any]) -> Any:
    """Everything in the index that dvc.yaml reads, keys excepted."""
    runs = index.get("run_index", {})
    return (
        index.get("results"),
        index.get("data_index"),
        {run: (row.get("dataset"), row.get("after")) for run, row in runs.items()},
    )


def _write_if_changed(file: Path, text: str) -> None:
    try:
        if file.read_bytes() == text.encode():
            return
    except OSError:
        pass
    write_atomically(file, lambda stream: stream.write(text))


def forgive_clocks(root: Path, runs: Iterable[Run]) -> None:
    """Date every input of a job no later than now: where one lies in the future, Snakemake deletes the result that it has just got."""
    now = time.time()
    files = [root / "params.yaml", *root.glob("papers/*.yaml"), *root.glob("reports/evidence/*.json"), *root.glob("plan/**/*.json")]
    files += [*root.glob("data/*/READY"), *(Places(root, run).result / name for run in runs for name in FILES)]
    for file in files:
        try:
            if file.stat().st_mtime > now:
                os.utime(file)
        except OSError:
            continue  # not there yet, or not ours


def finished_runs(root: Path, runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if Places(root, run).finished()]


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
