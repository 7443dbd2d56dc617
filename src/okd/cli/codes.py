"""From an exception to one clear line and an exit code."""

import errno
import sys
import traceback
from enum import IntEnum

from okd.data.arrays import DataError
from okd.plan.price import OverBudget
from okd.plan.source import Faults
from okd.training.disk import DiskError
from okd.training.distributed.launch import Ended
from okd.training.stop import Stopped


class Failed(Exception):
    """A run failed in a way that nobody foresaw; its traceback is in failure.json."""


class Code(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    DATA = 4
    OVER_BUDGET = 6
    DISK = 74
    STOPPED = 75


DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG),
)


def exit_code(error: Exception) -> int:
    """Print the error's line, or the traceback of one that nobody expected, to stderr; return the exit code."""
    match error:
        case Faults():
            code, lines = Code.USAGE, str(error).splitlines()
        case DataError():
            code, lines = Code.DATA, [str(error)]
        case OverBudget():
            code, lines = Code.OVER_BUDGET, [str(error)]
        case Ended():
            code, lines = error.code, [str(error)]
        case Stopped():
            code, lines = Code.STOPPED, [str(error)]
        case OSError() if isinstance(error, DiskError) or error.errno in DISK_ERRORS:
            why = "is there and is no folder: a file, or a link that leads nowhere" if error.errno == errno.EEXIST else error.strerror
            code, lines = Code.DISK, [f"{error.filename or 'disk'}: {why}"]
        case Failed():
            code, lines = Code.FAILED, [str(error)]
        case ValueError():
            code, lines = Code.USAGE, [str(error)]
        case _:
            traceback.print_exception(error)
            code, lines = Code.FAILED, [f"{type(error).__name__}: {error}".splitlines()[0]]
    for stream in {sys.stderr, sys.__stderr__}:  # a log file, where there is one, and the terminal
        for line in lines:
            print(f"okd: {line}", file=stream)
    return code
