"""The report's table of scores, and the figures above it: rows and cells as the template draws them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lutra.protocols import LABELS, Protocol
from pipeline.charts import Mark
from pipeline.published import Published, title
from pipeline.speed import Speed

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


def heading(protocol: Protocol, options: Mapping[str, Any]) -> str:
    """The task in words with its options, such as "Denoising, sigma 25"."""
    named = {key: value for key, value in options.items() if key not in ("scale", "bicubic")}
    shown = [
        f"{key} {' to '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in named.items()
    ]
    return ", ".join([title(protocol), *shown])


def rows(
    protocol: Protocol, experiments: Sequence[Shown], speed: Speed, sets: Sequence[str], marks: Mapping[str, Mark]
) -> list[Row]:
    """The table's rows of our own: every kind of every experiment."""
    found = []
    for shown in experiments:
        for kind in KINDS:
            size = shown.metrics["table_bytes"] if kind != "network" else None
            ms = speed.milliseconds[shown.name] if kind == KINDS[0] else None
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
                    scores,
                    size,
                    ms,
                    marks[shown.name],
                    minor,
                    best,
                )
            )
    return found


def published_rows(protocol: Protocol, published: Published, sets: Sequence[str]) -> list[Row]:
    """The table's rows of the published systems."""
    return [
        _row(protocol, sets, system.name, system.family, system.note or system.venue, system.scores, system.table_bytes)
        for system in published.systems
    ]


def baseline_row(protocol: Protocol, experiments: Sequence[Shown], sets: Sequence[str]) -> Row:
    """The table's row of what any restoration has to beat."""
    name = protocol.baseline_name
    return _row(protocol, sets, name, "", "", experiments[0].metrics[name])


def tiles(
    protocol: Protocol, experiments: Sequence[Shown], speed: Speed, sets: Sequence[str]
) -> list[tuple[str, str, str]]:
    """What a reader wants first: (what, figure, of which experiment)."""
    data, (label, _, unit) = sets[0], LABELS[protocol.main].partition(", ")
    scored = {shown.name: shown for shown in experiments if data in shown.metrics[KINDS[0]]}
    scores = {name: shown.metrics[KINDS[0]][data][protocol.main] for name, shown in scored.items()}
    best = max(scores, key=lambda name: scores[name])
    gain = scores[best] - scored[best].metrics[protocol.baseline_name][data][protocol.main]
    small = min(experiments, key=lambda shown: float(shown.metrics["table_bytes"]))
    fast = min(speed.milliseconds, key=lambda name: speed.milliseconds[name])
    return [
        (f"Best {label} on {data}", f"{scores[best]:.2f} {unit}", best),
        (f"Gain over {protocol.baseline_name}", f"{gain:+.2f} {unit}", best),
        ("Smallest tables", f"{small.metrics['table_bytes'] / 1024:,.0f} KiB", small.name),
        ("Fastest 1280x720 frame", f"{speed.milliseconds[fast]:.1f} ms", fast),
    ]


def _row(
    protocol: Protocol,
    sets: Sequence[str],
    name: str,
    family: str,
    kind: str,
    scores: Mapping[str, Mapping[str, float]],
    size: float | None = None,
    ms: float | None = None,
    mark: Mark | None = None,
    minor: bool = False,
    best: Collection[tuple[str, str]] = (),
) -> Row:
    cells = [_cell(size / 1024 if size is not None else None, 0), _cell(ms, 1)]
    for data in sets:
        for measure in protocol.measures:
            digits = 2 if measure.startswith("psnr") else 4
            cells.append(_cell(scores.get(data, {}).get(measure), digits, (data, measure) in best))
    return Row(name, family, kind, cells, mark, minor)


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
