"""Files that appear whole or not at all, and one line that says which disk did not hold them. No torch here."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from okd.plan.store import sync_folder

Bytes = bytes | memoryview


class DiskError(OSError):
    """Something could not be written: exit code 74. Says which file, how much it needed and how much is free."""


@contextmanager
def writing(file: Path, needed: int) -> Iterator[None]:
    """Turn any OSError inside into a DiskError about this file."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        raise disk_error(error.errno or 0, error.strerror or str(error), file, needed) from error


def disk_error(number: int, why: str, file: Path, needed: int) -> DiskError:
    return DiskError(number, f"{why} ({needed} bytes needed, {_free(file)} free)", str(file))


def require_space(file: Path, needed: int, *, spare: int = 1) -> None:
    """Raise DiskError where not even `needed` times 1 + `spare` bytes are free: a disk filled to the brim stops all others, too."""
    free = _free(file)
    if free is not None and free < needed * (1 + spare):
        raise disk_error(errno.ENOSPC, os.strerror(errno.ENOSPC), file, needed * (1 + spare))


def write_whole(file: Path, raw: Bytes, *, may_write: Callable[[], None] = lambda: None) -> None:
    """Write beside the place, make it durable, rename. `may_write` raises where the lock was lost meanwhile."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with writing(file, len(raw)):
        try:
            write_durably(temporary, raw)
            may_write()
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(file.parent)


def write_durably(file: Path, raw: Bytes) -> None:
    with writing(file, len(raw)), file.open("wb") as handle:
        handle.write(raw)
        handle.flush()
        os.fsync(handle.fileno())


def _free(file: Path) -> int | None:
    """Bytes free where this file is to lie; None where nothing says."""
    for folder in file.parents:
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return None
