"""A SLURM cluster of one node, this machine, for as long as a command runs: `python -m tests.cluster.slurm COMMAND`.

For Debian and its like, as root, without systemd. The node claims 32 processors, 200 GB and two GPUs, so that stages
may ask for what they ask for on a real one. What was started is stopped at the end, by its process id.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ETC = Path("/etc/slurm")  # the only place where srun finds its settings within a job of Snakemake's
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
MARK = "LUTRA_TEST_CLUSTER"
"""Set for the command: tests that need a cluster do not skip."""

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/d
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
ReturnToService=2
KillWait=30
MessageTimeout=60
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=200000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
GPUS = """
Name=gpu File=/dev/null
Name=gpu File=/dev/zero
"""


@contextlib.contextmanager
def cluster(patience: float = 120) -> Iterator[None]:
    """Within the block SLURM answers; RuntimeError where it cannot be started, and says why."""
    if os.geteuid():
        raise RuntimeError("needs root: SLURM's daemons start jobs for users")
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        raise RuntimeError(f"found no {', '.join(missing)}: apt-get install slurm-wlm munge, or --install")
    if (ETC / "slurm.conf").exists():
        raise RuntimeError(f"found {ETC}/slurm.conf: this machine is part of a cluster, which is left alone")
    with tempfile.TemporaryDirectory(prefix="lutra-slurm-") as state, contextlib.ExitStack() as stack:
        for folder in ("ctld", "d"):
            (Path(state) / folder).mkdir()
        text = CONFIGURATION.format(host=socket.gethostname().partition(".")[0], state=state)
        for name, content in (("slurm.conf", text), ("gres.conf", GPUS)):
            stack.callback((ETC / name).unlink, missing_ok=True)
            (ETC / name).write_text(content)
        if not answers("munge", "-n"):
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            stack.enter_context(daemon("munged", "--foreground", user="munge"))
            wait_for(lambda: answers("munge", "-n"), "munged", patience)
        stack.enter_context(daemon("slurmctld", "-D"))
        wait_for(lambda: answers("scontrol", "ping"), "slurmctld", patience)
        stack.enter_context(daemon("slurmd", "-D"))
        stack.callback(end_jobs, patience)
        wait_for(lambda: "idle" in printed("sinfo", "--noheader", "--format=%t"), "slurmd", patience)
        yield


@contextlib.contextmanager
def daemon(*command: str, user: str = "root") -> Iterator[None]:
    """A process in the foreground that ends with the block."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=nothing, stderr=nothing, user=user, group=user, extra_groups=())
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_jobs(patience: float) -> None:
    """Cancel what still waits or runs, and wait until it is gone."""
    answers("scancel", "--user=root")
    with contextlib.suppress(RuntimeError):
        wait_for(lambda: not printed("squeue", "--noheader"), "scancel", patience)


def answers(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def printed(*command: str) -> str:
    """Return what a command prints; nothing if it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def wait_for(condition: Callable[[], bool], what: str, patience: float) -> None:
    """Wait until the condition holds; RuntimeError after that number of seconds."""
    ends = time.monotonic() + patience
    while not condition():
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: found no answer in {patience:g} seconds")
        time.sleep(0.2)


def jobs() -> list[dict[str, str]]:
    """Snakemake's jobs, as `scontrol` describes them: JobId, Comment (the rule), JobState, NumCPUs, TRES, TimeLimit."""
    lines = printed("scontrol", "--oneliner", "show", "jobs").splitlines()
    pairs = ((word.partition("=") for word in line.split() if "=" in word) for line in lines)
    found = ({key: value for key, _, value in line} for line in pairs)
    return [job for job in found if job.get("Comment", "").startswith("rule_")]


def table() -> str:
    """Return a line for each job: what ran where."""
    columns = ("JobId", "NodeList", "JobState", "ExitCode", "RunTime", "TRES", "TresPerJob", "Comment")
    rows = [columns, *(tuple(job.get(column, "") for column in columns) for job in jobs())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the cluster, run the command, stop the cluster; the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.slurm", description=__doc__)
    parser.add_argument("--install", action="store_true", help="apt-get install SLURM first, where it is missing")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if options.install and not all(map(shutil.which, PROGRAMS)):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
        subprocess.run(install, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the daemons end with us
    try:
        with cluster():
            return subprocess.run(options.command, env=os.environ | {MARK: "1"}, check=False).returncode
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
