"""Scores as evaluate wrote them, and the report's table of them: rows and cells as the template draws them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lutra.evaluation.protocols import LABELS, Protocol
from lutra.imaging.metrics import CEILING
from pipeline.reporting.charts import Mark
from pipeline.reporting.papers import Published, title
from pipeline.reporting.speed import Speed

KINDS = ("finetuned", "exported", "network")  # the first is what is shipped
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """One experiment as the page takes it: its scores (metrics.json), its curves by stage, its settings in words."""

    name: str
    metrics: Mapping[str, Any]
    curves: Mapping[str, Curve]
    settings: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A figure in the table: as text, as what it is sorted by, and whether none of ours is better."""

    text: str
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the table; `minor` ones, the steps before the shipped tables, are hidden at first."""

    name: str
    family: str
    kind: str
    cells: Sequence[Cell]
    mark: Mark | None = None
    minor: bool = False


def read_metrics(path: Path) -> dict[str, Any]:
    """Read metrics.json; infinite scores, which older versions gave equal images, become the highest score there is.

    Raises:
        ValueError: it is damaged; names the file.
    """
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=lambda text: CEILING if text == "Infinity" else float(text),
        )
    except ValueError:
        raise ValueError(
            f"{path}: damaged, expected the JSON that evaluate writes; run it with this root again"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: found a {type(content).__name__}, expected the scores that evaluate writes")
    return content


def heading(protocol: Protocol, options: Mapping[str, Any]) -> str:
    """The task in words with its options, such as "Denoising, sigma 25"."""
    named = {key: value for key, value in options.items() if key not in ("scale", "bicubic")}
    shown = [
        f"{key} {' to '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in named.items()
    ]
    return ", ".join([title(protocol), *shown])


def rows(
    protocol: Protocol,
    experiments: Sequence[Shown],
    speed: Speed | None,
    sets: Sequence[str],
    marks: Mapping[str, Mark],
) -> list[Row]:
    """Return the table's rows of our own, every kind of every experiment; without times where `speed` is None."""
    found = []
    for shown in experiments:
        for kind in KINDS:
            costs = [_kib(shown.metrics["table_bytes"] if kind != "network" else None)]
            if speed is not None:
                costs.append(_cell(speed.milliseconds[shown.name] if kind == KINDS[0] else None, 1))
            minor = kind != KINDS[0]
            scores = shown.metrics[kind]
            best = set() if minor else _best(shown, experiments, protocol, sets)
            found.append(
                _row(
                    protocol,
                    sets,
                    shown.name,
                    shown.metrics["family"],
                    kind,
                    costs,
                    scores,
                    marks[shown.name],
                    minor,
                    best,
                )
            )
    return found


def published_rows(protocol: Protocol, published: Published, sets: Sequence[str], timed: bool) -> list[Row]:
    """Return the table's rows of the published systems; `timed`: whether the table has a column of times."""
    rows = []
    for system in published.systems:
        costs = [_kib(system.table_bytes), *([_cell(None, 1)] if timed else [])]
        kind = system.note or system.venue
        rows.append(_row(protocol, sets, system.name, system.family, kind, costs, system.scores))
    return rows


def baseline_row(protocol: Protocol, experiments: Sequence[Shown], sets: Sequence[str], timed: bool) -> Row:
    """Return the table's row of what any restoration has to beat; `timed`: whether the table has a column of times."""
    name = protocol.baseline_name
    costs = [_kib(None), *([_cell(None, 1)] if timed else [])]
    return _row(protocol, sets, name, "", "", costs, experiments[0].metrics[name])


def tiles(
    protocol: Protocol, experiments: Sequence[Shown], speed: Speed | None, sets: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Return what a reader wants first: (what, figure, of which experiment)."""
    data, (label, _, unit) = sets[0], LABELS[protocol.main].partition(", ")
    scored = {shown.name: shown for shown in experiments if data in shown.metrics[KINDS[0]]}
    scores = {name: shown.metrics[KINDS[0]][data][protocol.main] for name, shown in scored.items()}
    best = max(scores, key=lambda name: scores[name])
    gain = scores[best] - scored[best].metrics[protocol.baseline_name][data][protocol.main]
    small = min(experiments, key=lambda shown: float(shown.metrics["table_bytes"]))
    found = [
        (f"Best {label} on {data}", f"{scores[best]:.2f} {unit}", best),
        (f"Gain over {protocol.baseline_name}", f"{gain:+.2f} {unit}", best),
        ("Smallest tables", f"{small.metrics['table_bytes'] / 1024:,.0f} KiB", small.name),
    ]
    if speed is not None:
        fast, milliseconds = min(speed.milliseconds.items(), key=lambda one: one[1])
        found.append(("Fastest 1280x720 frame", f"{milliseconds:.1f} ms", fast))
    return found


def _row(
    protocol: Protocol,
    sets: Sequence[str],
    name: str,
    family: str,
    kind: str,
    costs: Sequence[Cell],
    scores: Mapping[str, Mapping[str, float]],
    mark: Mark | None = None,
    minor: bool = False,
    best: Collection[tuple[str, str]] = (),
) -> Row:
    cells = list(costs)
    for data in sets:
        for measure in protocol.measures:
            digits = 2 if measure.startswith("psnr") else 4
            cells.append(_cell(scores.get(data, {}).get(measure), digits, (data, measure) in best))
    return Row(name, family, kind, cells, mark, minor)


def _kib(size: float | None) -> Cell:
    return _cell(None if size is None else size / 1024, 0)


def _cell(value: float | None, digits: int, best: bool = False) -> Cell:
    return Cell("", None) if value is None else Cell(f"{value:,.{digits}f}", round(value, 6), best)


def _best(shown: Shown, experiments: Sequence[Shown], protocol: Protocol, sets: Sequence[str]) -> set[tuple[str, str]]:
    """The sets and measures in which no experiment beats this one."""
    others = [other.metrics[KINDS[0]] for other in experiments]
    mine = shown.metrics[KINDS[0]]
    return {
        (data, measure)
        for data in sets
        for measure in protocol.measures
        if data in mine and len(experiments) > 1
        if all(mine[data][measure] >= other[data][measure] for other in others if data in other)
    }
