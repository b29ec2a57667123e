"""The report's table of scores: rows and cells as the template draws them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lutra.evaluation.protocols import LABELS, Protocol
from pipeline.reporting.charts import Mark
from pipeline.reporting.papers import Published, title
from pipeline.reporting.results import KINDS, Result, SetScores
from pipeline.reporting.speed import Speed

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """One experiment on the page: its result, its curves by stage, its settings in words."""

    name: str
    result: Result
    curves: Mapping[str, Curve]
    settings: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A figure in the table: its text, the value to sort it by, and whether it is the best of ours."""

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


@dataclass(frozen=True)
class TaskTable:
    """The experiments of a task, with their scores on the given image sets; without times if `speed` is None."""

    protocol: Protocol
    experiments: Sequence[Shown]
    sets: Sequence[str]
    speed: Speed | None

    def rows(self, marks: Mapping[str, Mark]) -> list[Row]:
        """Return the rows of our own, every kind of every experiment."""
        return [
            self._row_of(shown, kind, marks[shown.name])
            for shown in self.experiments
            for kind in KINDS
            if kind in shown.result.scores
        ]

    def published(self, published: Published) -> list[Row]:
        """Return the rows of the published systems."""
        return [
            Row(
                system.name,
                system.family,
                system.note or system.venue,
                [*self._costs(system.table_bytes), *self._cells(system.scores)],
            )
            for system in published.systems
        ]

    def baseline(self) -> Row:
        """Return the row of the baseline, which any restoration has to beat."""
        scores = self.experiments[0].result.baseline
        return Row(self.protocol.baseline_name, "", "", [*self._costs(None), *self._cells(scores)])

    def tiles(self) -> list[tuple[str, str, str]]:
        """Return the figures at the top of the page: (what, figure, of which experiment)."""
        data, main = self.sets[0], self.protocol.main
        label, _, unit = LABELS[main].partition(", ")
        scored = {shown.name: shown.result for shown in self.experiments if data in shown.result.final}
        scores = {name: result.final[data][main] for name, result in scored.items()}
        best = max(scores, key=lambda name: scores[name])
        gain = scores[best] - scored[best].baseline[data][main]
        small = min(self.experiments, key=lambda shown: shown.result.table_bytes)
        found = [
            (f"Best {label} on {data}", f"{scores[best]:.2f} {unit}", best),
            (f"Gain over {self.protocol.baseline_name}", f"{gain:+.2f} {unit}", best),
            ("Smallest tables", f"{small.result.table_kib:,.0f} KiB", small.name),
        ]
        if self.speed is not None:
            fast, milliseconds = min(self.speed.milliseconds.items(), key=lambda one: one[1])
            found.append(("Fastest 1280x720 frame", f"{milliseconds:.1f} ms", fast))
        return found

    def _row_of(self, shown: Shown, kind: str, mark: Mark) -> Row:
        final = kind == KINDS[0]
        milliseconds = self.speed.milliseconds[shown.name] if final and self.speed is not None else None
        costs = self._costs(shown.result.table_bytes if kind != "network" else None, milliseconds)
        cells = self._cells(shown.result.scores[kind], self._best(shown) if final else ())
        return Row(shown.name, shown.result.family, kind, [*costs, *cells], mark, minor=not final)

    def _costs(self, size: float | None, milliseconds: float | None = None) -> list[Cell]:
        kib = _cell(None if size is None else size / 1024, 0)
        return [kib] if self.speed is None else [kib, _cell(milliseconds, 1)]

    def _cells(self, scores: SetScores, best: Collection[tuple[str, str]] = ()) -> list[Cell]:
        return [
            _cell(scores.get(data, {}).get(measure), 2 if measure.startswith("psnr") else 4, (data, measure) in best)
            for data in self.sets
            for measure in self.protocol.measures
        ]

    def _best(self, shown: Shown) -> set[tuple[str, str]]:
        """Return the sets and measures in which no experiment beats this one."""
        mine, others = shown.result.final, [other.result.final for other in self.experiments]
        return {
            (data, measure)
            for data in self.sets
            for measure in self.protocol.measures
            if data in mine and len(others) > 1
            if all(mine[data][measure] >= other[data][measure] for other in others if data in other)
        }


def heading(protocol: Protocol, options: Mapping[str, Any]) -> str:
    """Return the task in words with its options, such as "Denoising, sigma 25"."""
    named = {key: value for key, value in options.items() if key not in ("scale", "bicubic")}
    shown = [
        f"{key} {' to '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in named.items()
    ]
    return ", ".join([title(protocol), *shown])


def _cell(value: float | None, digits: int, best: bool = False) -> Cell:
    return Cell("", None) if value is None else Cell(f"{value:,.{digits}f}", round(value, 6), best)
