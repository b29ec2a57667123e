"""The report's charts: from figures to places on the canvas; the template draws what is found here as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 380
LEFT, RIGHT, TOP, BOTTOM = 68, 16, 16, 52  # margins of the plot, for ticks and titles
GLYPH = 8.4  # at most about the width of a letter of labels, which are 14 units high
COLOURS = 8  # that the page's style sheet has
SHAPES = ("circle", "square", "diamond", "triangle")

_SIDES = {"left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}
PLOT = {"width": WIDTH, "height": HEIGHT, **_SIDES}
"""The canvas and the plot's edges on it, for the template."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Mark:
    """The colour and shape that stand for an experiment everywhere on the page."""

    colour: int
    shape: str

    @classmethod
    def of(cls, number: int) -> Mark:
        """Return the mark of the experiment with that number, from 0; 32 differ."""
        return cls(number % COLOURS, SHAPES[(number + number // COLOURS) % len(SHAPES)])


@dataclass(frozen=True)
class Point:
    """One system in a scatter chart; published ones have no mark of their own."""

    name: str
    x: float
    y: float
    mark: Mark | None = None


@dataclass(frozen=True)
class Line:
    """One curve."""

    name: str
    mark: Mark
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place on the canvas, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """A point on the canvas, with its label where there was room for it."""

    x: float
    y: float
    name: str
    tip: str
    mark: Mark | None
    label: tuple[float, float, str] | None


@dataclass(frozen=True)
class Stroke:
    """A curve on the canvas: an SVG path, and where it ends."""

    name: str
    path: str
    mark: Mark
    end: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A chart as the template draws it."""

    title: str
    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    points: Sequence[Drawn] = ()
    strokes: Sequence[Stroke] = ()
    level: tuple[float, str] | None = None
    note: str = ""


def scatter(
    points: Sequence[Point], *, title: str, x_title: str, y_title: str, level: tuple[str, float] | None = None
) -> Chart:
    """Points over a logarithmic x axis.

    Args:
        points: at least one; x is positive.
        title, x_title, y_title: in words.
        level: the baseline's name and y; a dashed line where it leaves room for the points' differences, else a note.
    """
    low, high = log_range([point.x for point in points])
    heights = [point.y for point in points]
    near = level is not None and abs(min(heights) - level[1]) <= 4 * max(max(heights) - min(heights), 0.25)
    bottom, top, step = linear_range([*heights, level[1]] if level and near else heights)

    def across(x: float) -> float:
        return LEFT + (math.log(x) - math.log(low)) / (math.log(high) - math.log(low)) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return _down(y, bottom, top)

    places = [(across(point.x), down(point.y)) for point in points]
    labels = place_labels(places, [point.name for point in points])
    unit = x_title.partition(", ")[0]
    tips = [f"{point.name}: {point.y:.2f} {y_title.rpartition(', ')[2]}, {point.x:.3g} {unit}" for point in points]
    drawn = [
        Drawn(*place, point.name, text, point.mark, label)
        for point, place, text, label in zip(points, places, tips, labels, strict=True)
    ]
    return Chart(
        title,
        x_title,
        y_title,
        [Tick(across(value), f"{value:g}") for value in log_ticks(low, high)],
        _y_ticks(bottom, top, step),
        points=drawn,
        level=(down(level[1]), level[0]) if level and near else None,
        note=f"{level[0]}, {level[1]:.2f}, lies below the axis." if level and not near else "",
    )


def curves(lines: Sequence[Line], *, title: str, x_title: str, y_title: str, depth: float = 1.5) -> Chart:
    """Curves over a linear x axis from 0.

    Args:
        lines: at least one, of at least two points each.
        title, x_title, y_title: in words.
        depth: how far below the worst curve's best the axis starts, so that a bad start does not flatten the rest.
    """
    heights = [y for line in lines for _, y in line.points]
    floor = min(max(y for _, y in line.points) for line in lines) - depth
    bottom, top, step = linear_range([y for y in heights if y >= floor])
    reach = max(x for line in lines for x, _ in line.points)
    _, last, stride = linear_range([0, reach])

    def across(x: float) -> float:
        return LEFT + x / reach * (WIDTH - LEFT - RIGHT)

    strokes = []
    for line in lines:
        places = [(across(x), _down(y, bottom, top)) for x, y in line.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        strokes.append(Stroke(line.name, path, line.mark, places[-1]))
    return Chart(
        title,
        x_title,
        y_title,
        [Tick(across(value), f"{value:g}") for value in _steps(0, last, stride) if value <= reach],
        _y_ticks(bottom, top, step),
        strokes=strokes,
        note="What lies below the axis is cut." if min(heights) < bottom else "",
    )


def log_range(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis with some room at both; at least a factor of 4 apart."""
    low, high = min(values) / 1.25, max(values) * 1.25
    missing = max(1.0, 4 / (high / low))
    return low / math.sqrt(missing), high * math.sqrt(missing)


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between the ends; powers of ten alone if those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    shown = [value for value in fine if low <= value <= high]
    return shown if len(shown) <= 7 else [10.0**power for power in powers if low <= 10.0**power <= high]


def linear_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Ends and step of an axis: the step is 1, 2 or 5 times a power of ten and gives four to nine intervals."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * 0.999)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def place_labels(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[tuple[float, float, str] | None]:
    """Return the place of each point's label (x, y of its baseline, text-anchor), or None for lack of room.

    Labels are placed one after the other, where they cover no point, no earlier label and no edge.
    """
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in places]
    found: list[tuple[float, float, str] | None] = []
    for (x, y), name in zip(places, names, strict=True):
        width = GLYPH * len(name)
        choices = [
            (x + 11, y + 5, "start"),
            (x - 11, y + 5, "end"),
            (x, y - 12, "middle"),
            (x, y + 22, "middle"),
            (x + 9, y - 9, "start"),
            (x - 9, y - 9, "end"),
            (x + 9, y + 18, "start"),
            (x - 9, y + 18, "end"),
        ]
        free = (choice for choice in choices if _is_free(_box(*choice, width), taken))
        chosen = next(free, None)
        if chosen is not None:
            taken.append(_box(*chosen, width))
        found.append(chosen)
    return found


def _box(x: float, y: float, anchor: str, width: float) -> Box:
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return left, y - 12, left + width, y + 4


def _is_free(box: Box, taken: Iterable[Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH - 2 and top >= 0 and bottom <= HEIGHT - BOTTOM
    return inside and not any(left < one[2] and one[0] < right and top < one[3] and one[1] < bottom for one in taken)


def _down(y: float, bottom: float, top: float) -> float:
    return TOP + (top - y) / (top - bottom) * (HEIGHT - TOP - BOTTOM)


def _steps(first: float, last: float, step: float) -> list[float]:
    return [round(first + number * step, 9) for number in range(round((last - first) / step) + 1)]


def _y_ticks(bottom: float, top: float, step: float) -> list[Tick]:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [Tick(_down(value, bottom, top), f"{value:.{digits}f}") for value in _steps(bottom, top, step)]
