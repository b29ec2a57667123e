"""Measure the memory that this machine has left, within the limits of its control group, and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from lutra.limits import CGROUPS, MEMBERSHIP, control_groups

_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Files of a control group, by version: its limit, its use, and the key of the cached files within its use."""


def available_memory(groups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the bytes that a process can still take: the system's, or less if a container or a scheduler limits it."""
    return min([int(psutil.virtual_memory().available), *_left_in_groups(groups, membership)])


def free_disk(path: Path) -> int:
    """Return the free bytes on the disk where `path` is, or will be."""
    while not path.exists():
        path = path.absolute().parent
    return shutil.disk_usage(path).free


def _left_in_groups(groups: Path, membership: Path) -> Iterator[int]:
    """Yield the bytes that are left in each control group that has a limit. Cached files do not count as used."""
    for folder, version in control_groups("memory", groups, membership):
        if (found := _left(folder, *_FILES[version])) is not None:
            yield found


def _left(group: Path, limit: str, used: str, cached: str) -> int | None:
    try:
        most = int((group / limit).read_text())  # "max" where there is none
        lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, most - int((group / used).read_text()) + int(lines.get(cached, 0)))
    except (OSError, ValueError):
        return None
