"""A real SLURM of one node with two GPUs that do not exist, from Debian's packages.

`python tests/workflow/cluster.py COMMAND...` runs a command on it. It needs root, and /etc/slurm for its configuration as long as it lives,
because Snakemake's plugin drops SLURM_CONF on the way to a job. All else lies in one folder and listens on ports of its own.
Nothing is left behind, and nothing is left running.
"""

import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("setpriv", "slurmctld", "slurmd", "munged", "srun", "sbatch", "squeue", "scontrol")
CONF = Path("/etc/slurm")
CONF_FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
DEVICES = 2
PATIENCE_S = 60.0

# Cores and memory are what we say, so that any machine will do; a preempted or requeued job may start again after 6 s, not 120.
MARK = "# of tests/workflow/cluster.py\n"
SLURM = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmdParameters=config_overrides
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=6
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=100000 Gres=gpu:{devices} State=UNKNOWN
PartitionName=batch Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=2
"""


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    if os.geteuid() != 0:
        return "a SLURM of our own needs root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(absent)} here; as root: apt-get update && apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if any(file.exists() and not file.read_text().startswith(MARK) for file in map(CONF.joinpath, CONF_FILES)):
        return f"{CONF} is in use: this machine has a SLURM already"
    return ""


def install() -> None:
    """Raises CalledProcessError where Debian's packages cannot be had, and TimeoutExpired."""
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", *command], env=quiet, check=True, capture_output=True, timeout=300)


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """A cluster that lives as long as the block."""
    daemons: list[subprocess.Popen[bytes]] = []
    lock = os.open(Path(tempfile.gettempdir(), "okd-slurm.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time on this machine
    try:
        _configure(folder)
        munge = {name: f"--{name}={folder}/munge/{name}" for name in ("socket", "key-file", "pid-file", "seed-file", "log-file")}
        daemons.append(_daemon("munged", "--foreground", "--force", *munge.values()))
        _wait((folder / "munge" / "socket").exists, "munged", folder)
        daemons += [_daemon("slurmctld", "-D"), _daemon("slurmd", "-D")]
        _wait(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T"), "an idle node", folder)
        yield
    finally:
        if len(daemons) == 3:
            ask("scancel", "--user=root")
            _wait(lambda: not ask("squeue", "--noheader"), "the last job's end", folder)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for name in CONF_FILES:
            (CONF / name).unlink(missing_ok=True)
        os.close(lock)


def ask(*command: str) -> str:
    """What one of SLURM's commands prints; empty where it fails, as while a daemon starts."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _configure(folder: Path) -> None:
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o755)
    key = folder / "munge" / "key-file"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    devices = [folder / f"gpu{index}" for index in range(DEVICES)]
    for device in devices:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # SLURM wants a device's file; this is /dev/null under another name
    CONF.mkdir(exist_ok=True)
    (CONF / "gres.conf").write_text(MARK + "".join(f"Name=gpu File={device}\n" for device in devices))
    (CONF / "cgroup.conf").write_text(MARK + "CgroupPlugin=cgroup/v1\n")
    text = SLURM.format(host=socket.gethostname(), ports=_free_ports(2), folder=folder, devices=DEVICES)
    (CONF / "slurm.conf").write_text(MARK + text)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _daemon(*command: str) -> subprocess.Popen[bytes]:
    """It ends with this process, however that ends."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _wait(holds: Callable[[], object], what: str, folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            logs = "\n".join(log.read_text()[-2000:] for log in folder.glob("slurm*.log"))
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}\n{logs}")
        time.sleep(0.2)


def main(command: Sequence[str]) -> int:
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)):
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
