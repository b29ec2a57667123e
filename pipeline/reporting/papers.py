"""The published systems' figures that may be compared with ours; how papers name tasks and order image sets."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutra.evaluation import protocols
from lutra.evaluation.protocols import Protocol, Scores
from lutra.model.tasks import TASKS
from pipeline import PROJECT

FILE = PROJECT / "results" / "published.json"
SETS = ("Set5", "Set14", "B100", "Urban100", "Manga109")


@dataclass(frozen=True)
class System:
    """A published system: its tables' size in bytes, and its scores, {set: {measure: value}}.

    note: where the scores come from, if not from the paper.
    """

    name: str
    family: str
    venue: str
    note: str
    table_bytes: float
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Published:
    """The published results of a task that ours may be compared with; `systems` may be empty."""

    source: str
    address: str
    storage_unit: str
    systems: tuple[System, ...]


def comparable(protocol: Protocol, sets: Collection[str], file: Path = FILE) -> Published:
    """Return the systems that were scored by this protocol on any of these image sets, with those sets' scores."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    shared = [name for name in SETS if name in sets]
    applies = protocols.of(content["task"], content["options"]).text == protocol.text
    systems = [_system(row, content["measures"], shared) for row in content["systems"]] if applies else []
    scored = tuple(system for system in systems if system.scores)
    return Published(content["source"], content["address"], content["storage_unit"], scored)


def _system(row: dict[str, Any], measures: list[str], sets: list[str]) -> System:
    scores = {name: row["scores"][name] for name in sets if name in row["scores"]}
    named = {
        name: {measure: value for measure, value in zip(measures, values, strict=True) if value is not None}
        for name, values in scores.items()
    }
    return System(row["name"], row["family"], row["venue"], row.get("note", ""), row["storage"] * 2**20, named)


def title(protocol: Protocol) -> str:
    """Return a task in words, such as "Super-resolution x4"; the protocol's text has the details."""
    return TASKS[protocol.task].title + (f" x{protocol.scale}" if protocol.scale > 1 else "")


def order(name: str) -> tuple[int, str]:
    """Return the key that sorts image sets as papers do, others after them."""
    return SETS.index(name) if name in SETS else len(SETS), name
