"""Train on several processes: the stage starts itself again through `accelerate launch`, once for every process.

The command line is the same as for one process: `num_processes` of params.yaml decides, for DVC, for Snakemake and by
hand. On several nodes, start the same command once on each, by `srun` or by hand: it launches the node's processes.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from lutra.limits import threads
from pipeline.params import FitParams

PORT = 29500
_BY_HAND = ("NNODES", "NODE_RANK", "MASTER_ADDR")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # Snakemake sets both to all threads of the job


@dataclass(frozen=True)
class Nodes:
    """The machines that train together: their number, the rank of this one, and the address of the first one.

    Port 0 stands for any free port, which a single machine can choose for itself.
    """

    count: int = 1
    rank: int = 0
    address: str = "127.0.0.1"
    port: int = 0


def ran(settings: FitParams, key: str, *command: str) -> bool:
    """Run a stage on several processes and wait for them, if its parameters ask for several.

    This process passes signals on to its processes, which write a checkpoint and end.

    Args:
        settings: the stage's settings.
        key: the key of the settings in params.yaml, for errors.
        command: the arguments of `python -m pipeline`.

    Returns:
        False, with nothing done, if this process does the work: one is enough, or it is one of several.

    Raises:
        ValueError: there are fewer GPUs or nodes than the processes need.
        SystemExit: a process failed; the exit code is its own, and it has reported why.
        KeyboardInterrupt: a signal ended the stage.
    """
    if settings.ranks == 1 or is_rank():
        return False
    nodes = nodes_of(os.environ)
    if settings.ranks % nodes.count:
        raise ValueError(f"{key}.num_processes: found {settings.ranks}, expected a multiple of the {nodes.count} nodes")
    local = settings.ranks // nodes.count
    os.environ |= threads_of(os.environ, local)
    _choose_devices(key, local)
    _launch(["--num_processes", str(settings.ranks), *_options(settings, nodes), "--module", "pipeline", *command])
    return True


def is_rank() -> bool:
    """Return whether this process is one of several that a launcher started."""
    return "LOCAL_RANK" in os.environ


def nodes_of(environment: Mapping[str, str]) -> Nodes:
    """Return the nodes that `srun`, or NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT, name; or this one alone.

    Raises:
        ValueError: a variable is missing or not a number, or `srun` started more than one task on a node.
    """
    if "NNODES" in environment:
        if missing := [name for name in _BY_HAND if not environment.get(name)]:
            raise ValueError(f"NNODES is set: found no {missing[0]}, expected {', '.join(_BY_HAND)}")
        count, rank = _number(environment, "NNODES"), _number(environment, "NODE_RANK")
        port = _number(environment, "MASTER_PORT") if "MASTER_PORT" in environment else PORT
        return Nodes(count, rank, environment["MASTER_ADDR"], port) if count > 1 else Nodes()
    # The step's variables, which only srun sets: a batch script of several nodes runs on the first
    count = _number(environment, "SLURM_STEP_NUM_NODES") if "SLURM_STEP_NUM_NODES" in environment else 1
    tasks = _number(environment, "SLURM_STEP_NUM_TASKS") if "SLURM_STEP_NUM_TASKS" in environment else count
    if tasks != count:
        raise ValueError(f"srun: found {tasks} tasks on {count} nodes, expected one a node: --ntasks-per-node=1")
    if count == 1:
        return Nodes()
    job = _number(environment, "SLURM_JOB_ID")  # jobs that share a node each get their own port
    return Nodes(count, _number(environment, "SLURM_NODEID"), _first_host(environment), 20000 + job % 10000)


def threads_of(environment: Mapping[str, str], processes: int) -> dict[str, str]:
    """Return the variables that divide the stage's threads, or else the processors it may use, among its processes."""
    return dict.fromkeys(_THREADS, str(max(1, threads(environment) // processes)))


def _options(settings: FitParams, nodes: Nodes) -> list[str]:
    """Return all options that accelerate would otherwise take from the user's own configuration, or guess."""
    options = {
        "num_machines": nodes.count,
        "machine_rank": nodes.rank,
        "main_process_ip": nodes.address,
        "main_process_port": nodes.port,
        "mixed_precision": "bf16" if settings.precision == "bf16" else "no",
        "dynamo_backend": "no",
        "gpu_ids": "all",
    }
    return ["--multi_gpu", *(text for name, value in options.items() for text in (f"--{name}", str(value)))]


def _choose_devices(key: str, processes: int) -> None:
    import torch
    from accelerate.utils import parse_flag_from_env

    gpus = torch.cuda.device_count()
    if parse_flag_from_env("ACCELERATE_USE_CPU") or not gpus:
        os.environ["ACCELERATE_USE_CPU"] = "true"  # `accelerate launch --cpu` would silently start one process
    elif gpus < processes:
        raise ValueError(f"{key}.num_processes: found {gpus} GPUs on this node, expected {processes}, one a process")


def _launch(arguments: list[str]) -> None:
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Hide tables and stack traces about a process that failed: it has reported the reason in one line
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print(f"error: process {rank} was ended by {name}", file=sys.stderr)
            raise SystemExit(128 - failure.exitcode) from None
        raise SystemExit(failure.exitcode) from None


def _first_host(environment: Mapping[str, str]) -> str:
    names = environment.get("SLURM_STEP_NODELIST") or environment["SLURM_JOB_NODELIST"]
    done = subprocess.run(["scontrol", "show", "hostnames", names], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.split():
        raise ValueError(f"scontrol show hostnames {names}: found no host, expected the job's nodes")
    return done.stdout.split()[0]


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    if not value.isdigit():
        raise ValueError(f"{name}: found {value!r}, expected a whole number")
    return int(value)
