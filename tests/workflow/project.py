"""A small checkout of its own, in which the real engines run in seconds, and what each of them wants and did there."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from forked import MAINS, run_forked

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300  # a limit for machines that are busy; nothing here takes a tenth of it
BYTECODE = ROOT / ".pytest_cache" / "bytecode"  # where packages come without it, each start of an engine compiles for 2 seconds


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def lines(self, word: str = "") -> list[str]:
        """What our own verbs said."""
        return [line for line in self.text.splitlines() if line.startswith("okd: ") and word in line]


@dataclass
class Checkout:
    """A checkout with one paper of six runs, planned at scale paper; `stub` sets the stub's environment."""

    root: Path
    stub: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the person who runs the tests: no configuration, no cache, no variable."""
        home = self.root.parent / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.pathsep.join([str(_tools(home)), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONPYCACHEPREFIX": str(BYTECODE),
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
        } | self.stub

    def run(self, *command: str | Path, code: int | None = 0, patience_s: int = PATIENCE_S) -> Done:
        """Run to the end; `code` is what it must end with, None whatever."""
        words = [str(word) for word in command]
        if words[0] in MAINS:
            done = self._run_forked(words, patience_s)
        else:
            with self.start(*command) as process:
                out, err = process.communicate(timeout=patience_s)
            done = Done(process.returncode, out, err)
        assert code in (None, done.code), f"{' '.join(words)} ended with {done.code}, not {code}:\n{done.text}"
        return done

    def _run_forked(self, command: list[str], patience_s: int) -> Done:
        with TemporaryDirectory() as folder:
            files = Path(folder, "out"), Path(folder, "err")
            code = run_forked(command, self.root, self.environment, files, patience_s)
            return Done(code, *(file.read_text() for file in files))

    @contextmanager
    def start(self, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Start in a process group of its own, of which nothing is left at the end."""
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )
        with process:
            try:
                yield process
            finally:
                kill_group(process)  # before leaving waits for it

    def okd(self, *arguments: str, code: int | None = 0) -> Done:
        return self.run("okd", *arguments, code=code)

    def snakemake(self, *arguments: str, code: int | None = 0) -> Done:
        return self.run("snakemake", "--cores", "2", *arguments, code=code)

    def dvc(self, *arguments: str, code: int | None = 0) -> Done:
        return self.run("dvc", *arguments, code=code)

    def git(self, *arguments: str) -> Done:
        return self.run("git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", *arguments)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a state of the test")

    def wanted_by_snakemake(self) -> list[str]:
        """Runs that it would train; plans first, as it always does."""
        text = self.snakemake("--dry-run", "--quiet", "host").text
        return sorted(set(re.findall(r"^rule train:.*?wildcards: run=([^,\s]+)", text, re.MULTILINE | re.DOTALL)))

    def named_by_dvc(self) -> list[str]:
        """Runs whose stage `dvc status` calls changed."""
        status = json.loads(self.dvc("status", "--json").out)
        return sorted(stage.removeprefix("train@") for stage in status if stage.startswith("train@"))

    def trained(self) -> list[str]:
        """Runs in the order in which they were published since the last call."""
        log = self.root / "logs" / "trained.log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has '{old}' {text.count(old)} times"
        path.write_text(text.replace(old, new))

    def raise_revision(self, kind: str, name: str) -> None:
        """Of a network or method in this checkout's catalog."""
        path = self.root / "src" / "okd" / "catalog.yaml"
        section = re.search(rf"^{kind}:.*?(?=^\w|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
        assert section
        entry = re.search(rf"^  {re.escape(name)}:\s*\{{?\s*(?:#.*)?\s*revision: (\d+)", section[0], re.MULTILINE)
        assert entry
        start, end = (section.start() + at for at in entry.span(1))
        text = path.read_text()
        path.write_text(f"{text[:start]}{int(entry[1]) + 1}{text[end:]}")

    def index(self) -> dict[str, dict[str, str]]:
        return json.loads((self.root / "plan" / "index.json").read_text())["run_index"]

    def folder(self, run: str) -> Path:
        return self.root / "results" / "paper" / run

    def delete(self, run: str) -> None:
        shutil.rmtree(self.folder(run))

    def copy(self, folder: Path) -> "Checkout":
        shutil.copytree(self.root, folder, symlinks=True)
        return Checkout(folder, dict(self.stub))

    def clone(self, folder: Path) -> "Checkout":
        self.run("git", "clone", "--quiet", self.root, folder)
        return Checkout(folder, dict(self.stub))


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    return {str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*")) if file.is_file()}


def shuffle_times(checkout: Checkout) -> None:
    """Give every file a random time of the last day, and take Snakemake's memory away."""
    shutil.rmtree(checkout.root / ".snakemake", ignore_errors=True)
    random, now = Random(0), time.time()
    for file in sorted(checkout.root.rglob("*")):
        if ".git" not in file.parts and file.is_file():
            os.utime(file, (now, now - random.uniform(0, 86_400)))


def _tools(home: Path) -> Path:
    """A folder with the stub as `okd`, first on PATH."""
    tools = home / "bin"
    if not tools.exists():
        tools.mkdir()
        okd = tools / "okd"
        okd.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("stub.py")} "$@"\n')
        okd.chmod(0o755)
    return tools


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs hand down an ignored one


def kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
