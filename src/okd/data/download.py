"""Fetching one file from several sources: it goes on where it was cut off, and is right or not there."""

import fcntl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from okd.data.arrays import DataError

TRIES = 3  # for each source
PAUSE_S = 1.0
CONNECT_S = 10.0
STALL_S = 30.0  # without a byte
PACE_S = 20.0  # over which a source's pace is taken
PACE, LAST_PACE = 100_000, 1_000  # bytes a second: a slower source is left for the next, the last one only where nearly nothing comes
CHUNK = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as a data set's authors publish it."""

    name: str
    digest: str  # sha256:... or md5:..., whichever could be confirmed
    size: int | None  # bytes; known of every file that is downloaded

    def matches(self, path: Path) -> bool:
        from pooch import file_hash

        algorithm, _, expected = self.digest.partition(":")
        return self.size in (None, path.stat().st_size) and file_hash(str(path), alg=algorithm) == expected


class Trouble(ValueError):
    """A source did not give the file. `passing`: it may the next time."""

    def __init__(self, problem: str, *, passing: bool) -> None:
        super().__init__(problem)
        self.passing = passing


def download(file: File, sources: Sequence[str], folder: Path, *, checked: bool, say: Say) -> Path:
    """The file, from the first of the sources (base addresses) that has it; it stays in `folder` for the next time.

    `checked` False takes whatever bytes come. Raises DataError with what was wrong at each source.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    place = folder / file.name
    part, problems = place / "part", list[str]()
    with one_at_a_time(place / "lock", lambda: say(f"{file.name}: another process is fetching it; waiting")):
        for left in place.glob("tmp*"):  # a killed pooch leaves its own temporary file
            left.unlink()
        if not checked:
            (place / file.name).unlink(missing_ok=True)  # nobody knows whether it is worth keeping
        for number, source in enumerate(sources, start=1):
            url = f"{source.rstrip('/')}/{file.name}"
            for attempt in range(1, TRIES + 1):
                if not checked:
                    part.unlink(missing_ok=True)  # nothing would notice that two copies were mixed
                resumed = part.exists()
                transfer: Any = Transfer(file, part, pace=LAST_PACE if number == len(sources) else PACE, checked=checked)
                try:
                    known = file.digest if checked else None
                    return Path(pooch.retrieve(url, known_hash=known, fname=file.name, path=place, downloader=transfer))
                except Exception as error:
                    trouble = trouble_of(error)
                # Where a stale part was thrown away, the same source may be right from the start.
                again = (trouble.passing or (resumed and not part.exists())) and attempt < TRIES
                say(f"{url}: {trouble}{'; trying again' if again else ''}")
                if not again:
                    problems.append(f"{url}: {trouble}")
                    break
                time.sleep(PAUSE_S)
    raise DataError("; ".join(problems))


@dataclass(frozen=True)
class Transfer:
    """What pooch calls to fill its temporary file; the bytes gather in `part`, which outlives a kill."""

    file: File
    part: Path
    pace: int
    checked: bool

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        if have == 0 or have != self.file.size:
            self._fetch(url, have)
        self.part.replace(output_file)

    def _fetch(self, url: str, have: int) -> None:
        import requests

        assert self.file.size is not None
        wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=wanted, stream=True, timeout=(CONNECT_S, STALL_S)) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink(missing_ok=True)
            response.raise_for_status()
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise Trouble("leads to an unencrypted address", passing=False)
            going_on = response.status_code == requests.codes.partial_content
            if going_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink(missing_ok=True)
                raise Trouble("sent another part of the file than it was asked for", passing=True)
            have = have if going_on else 0
            offered = have + int(response.headers.get("Content-Length", self.file.size - have))
            if self.checked and offered != self.file.size:
                raise Trouble(f"offers {offered:,} bytes, not {self.file.size:,}", passing=False)
            with self.part.open("ab" if going_on else "wb") as stream, _bar(self.file, have) as advance:
                for chunk in self._steadily(response.raw):
                    stream.write(chunk)
                    advance(len(chunk))
                    have += len(chunk)
                    if have > self.file.size * (1 if self.checked else 2):
                        self.part.unlink()
                        raise Trouble(f"sends more than {self.file.size:,} bytes", passing=False)
        if self.checked and have < self.file.size:
            raise Trouble(f"ended after {have:,} of {self.file.size:,} bytes", passing=True)

    def _steadily(self, raw: Any) -> Iterator[bytes]:
        """The body as it comes in, until it trickles."""
        since, received = time.monotonic(), 0
        while chunk := raw.read1(CHUNK, decode_content=False):
            yield chunk
            received += len(chunk)
            seconds = time.monotonic() - since
            if seconds > PACE_S:
                if received < self.pace * seconds:
                    raise Trouble(f"is too slow ({received / seconds / 1000:,.1f} kB/s)", passing=False)
                since, received = time.monotonic(), 0


def trouble_of(error: Exception) -> Trouble:
    """What went wrong at a source, in a few words. Trouble with the own disk is raised as it is."""
    import requests
    import urllib3

    match error:
        case Trouble():
            return error
        case requests.HTTPError():
            response: Any = error.response
            status = response.status_code
            return Trouble(f"{status} {response.reason}", passing=status in (408, 416, 429) or status >= 500)
        case requests.exceptions.SSLError():
            return Trouble("no trustworthy encryption (TLS)", passing=False)
        case requests.Timeout() | urllib3.exceptions.TimeoutError():
            return Trouble("no answer, or no byte for too long", passing=True)
        case requests.TooManyRedirects() | requests.exceptions.InvalidSchema() | requests.exceptions.InvalidURL():
            return Trouble("leads nowhere (redirects)", passing=False)
        case requests.ConnectionError():
            return Trouble("cannot be reached", passing=True)
        case requests.RequestException() | urllib3.exceptions.HTTPError():
            return Trouble(f"the connection broke ({type(error).__name__})", passing=True)
        case ValueError() if "does not match" in str(error):
            return Trouble("other bytes than the official file's (checksum)", passing=False)
        case ValueError():
            return Trouble(str(error), passing=False)
        case _:
            raise error


@contextmanager
def _bar(file: File, have: int) -> Iterator[Callable[[int], Any]]:
    """A progress bar on stderr, where a person is looking."""
    if not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(file.name, total=file.size, completed=have)
        yield lambda size: progress.advance(task, size)


@contextmanager
def one_at_a_time(file: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Only one process of this machine at a time is inside; `waiting` is called where another one is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
