"""What this machine has left: memory, within the limits of its control group, and disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_memory(groups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Bytes that a process can still take: the system's, or less where a container or a scheduler limits it."""
    return min([int(psutil.virtual_memory().available), *_left_in_groups(groups, membership)])


def free_disk(path: Path) -> int:
    """Bytes that are free where `path` is, or will be."""
    while not path.exists():
        path = path.absolute().parent
    return shutil.disk_usage(path).free


def _left_in_groups(groups: Path, membership: Path) -> Iterator[int]:
    """Of every control group around this process that has a limit. Its cached files do not count as used."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, place in (line for line in lines if len(line) == 3):
        if controllers == "":  # version 2: one hierarchy
            home, limit, used, cached = groups, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            home, limit, used, cached = (
                groups / "memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        folder = home / place.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(home) and (found := _left(group, limit, used, cached)) is not None:
                yield found


def _left(group: Path, limit: str, used: str, cached: str) -> int | None:
    try:
        most = int((group / limit).read_text())  # "max" where there is none
        lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, most - int((group / used).read_text()) + int(lines.get(cached, 0)))
    except (OSError, ValueError):
        return None
