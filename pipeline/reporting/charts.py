"""The report's charts, drawn by matplotlib: SVG in the page's colours, and one picture for DVC and MLflow."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator

from lutra.evaluation.protocols import LABELS, Protocol
from pipeline.reporting.results import Result

WIDTH, HEIGHT = 480, 380
LEFT, RIGHT, TOP, BOTTOM = 68, 16, 16, 52  # margins of the plot, for ticks and titles
FONT = 14
GLYPH = 8.4  # at most about the width of a letter of labels
COLOURS = 8  # that the page's style sheet has
SHAPES = {"circle": ("o", 11.0), "square": ("s", 10.0), "diamond": ("D", 9.5), "triangle": ("^", 12.0)}
"""matplotlib's marker of each shape, and its size."""
MARKERS = {"network": "o", "exported": "s", "finetuned": "D"}
"""The picture's marker of each kind of result, in the order of the stages that make them."""

INK, SOFT, LINE, CARD = "#010100", "#010101", "#010102", "#010103"
PAGE = {INK: "ink", SOFT: "soft", LINE: "line", CARD: "card"} | {f"#02020{n}": f"c{n}" for n in range(COLOURS)}
"""The style sheet's variable for each colour that the charts are drawn in: the page has a light and a dark theme."""

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
        return cls(number % COLOURS, list(SHAPES)[(number + number // COLOURS) % len(SHAPES)])


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
class Chart:
    """A chart of the page.

    svg: its <svg> element. tips: the text that appears over each point or curve. note: a sentence below it, or ''.
    """

    title: str
    svg: str
    tips: Sequence[str]
    note: str = ""


def scatter(
    points: Sequence[Point], *, title: str, x_title: str, y_title: str, level: tuple[str, float] | None = None
) -> Chart:
    """Draw points over a logarithmic x axis.

    Args:
        points: at least one; x is positive.
        title, x_title, y_title: in words.
        level: the baseline's name and y; a dashed line where it leaves room for the points' differences, else a note.
    """
    axes = _axes(x_title, y_title)
    axes.set_xscale("log")
    low, high = log_range([point.x for point in points])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 250 * low else (1,)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter("")
    heights = [point.y for point in points]
    near = level is not None and abs(min(heights) - level[1]) <= 4 * max(max(heights) - min(heights), 0.25)
    _limit(axes, [*heights, level[1]] if level and near else heights)
    if level and near:
        axes.axhline(level[1], color=SOFT, linewidth=1, linestyle=(0, (5, 4)))
        axes.annotate(
            level[0], (1, level[1]), (-2, 5), axes.get_yaxis_transform(), "offset points", color=SOFT, ha="right"
        )
    unit, measure = x_title.partition(", ")[0], y_title.rpartition(", ")[2]
    tips = [f"{point.name}: {point.y:.2f} {measure}, {point.x:.3g} {unit}" for point in points]
    for number, point in enumerate(points):
        _mark(axes, point.x, point.y, point.mark).set_gid(f"tip{number}")
    _label(axes, points)
    note = f"{level[0]}, {level[1]:.2f}, lies below the axis." if level and not near else ""
    return Chart(title, _svg(axes, f"{title}: {y_title} over {x_title}", tips), tips, note)


def curves(lines: Sequence[Line], *, title: str, x_title: str, y_title: str, depth: float = 1.5) -> Chart:
    """Draw curves over a linear x axis from 0.

    Args:
        lines: at least one, of at least two points each.
        title, x_title, y_title: in words.
        depth: how far below the worst curve's best the axis starts, so that a bad start does not flatten the rest.
    """
    heights = [y for line in lines for _, y in line.points]
    floor = min(max(y for _, y in line.points) for line in lines) - depth
    axes = _axes(x_title, y_title)
    axes.set_xlim(0, max(x for line in lines for x, _ in line.points))
    bottom = _limit(axes, [y for y in heights if y >= floor])
    for number, line in enumerate(lines):
        across, down = zip(*line.points, strict=True)
        axes.plot(across, down, color=_colour(line.mark), linewidth=2)[0].set_gid(f"tip{number}")
        _mark(axes, across[-1], down[-1], line.mark)
    note = "What lies below the axis is cut." if min(heights) < bottom else ""
    tips = [line.name for line in lines]
    return Chart(title, _svg(axes, f"{title}: {y_title} over {x_title}", tips), tips, note)


def gains(results: Mapping[str, Result], protocol: Protocol, sets: Sequence[str]) -> bytes:
    """Draw the main measure gained over the baseline, one panel a set, one row an experiment; return a PNG."""
    measure, height = protocol.main, 1.6 + 0.45 * len(results)
    figure = Figure(figsize=(1.5 + 5 * len(sets), height))
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axis, name in zip(panels, sets, strict=True):
        for kind, marker in MARKERS.items():
            shown = [
                (row, result) for row, result in enumerate(results.values()) if name in result.scores.get(kind, {})
            ]
            gain = [result.scores[kind][name][measure] - result.baseline[name][measure] for _, result in shown]
            axis.plot(gain, [row for row, _ in shown], marker, label=kind, alpha=0.8)
        label, unit = LABELS[measure].split(", ")
        axis.set(title=name, xlabel=f"{label} over {protocol.baseline_name}, {unit}", yticks=range(len(results)))
        axis.set_yticklabels(list(results))
        axis.set_ylim(len(results) - 0.5, -0.5)
        axis.axvline(0, color="gray", linewidth=0.8)
        axis.grid(axis="x", alpha=0.3)
    panels[0].legend(loc="best", fontsize="small")
    figure.tight_layout()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def log_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis with some room at both; at least a factor of 4 apart."""
    low, high = min(values) / 1.25, max(values) * 1.25
    missing = max(1.0, 4 / (high / low)) ** 0.5
    return low / missing, high * missing


def place_labels(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[tuple[float, float, str] | None]:
    """Return the place of each point's label (x, y of its baseline, where it is anchored), or None for lack of room.

    Labels are placed one after the other, where they cover no point, no earlier label and no edge.
    """
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in places]
    found: list[tuple[float, float, str] | None] = []
    for (x, y), name in zip(places, names, strict=True):
        width = GLYPH * len(name)
        choices = [
            (x + 11, y + 5, "left"),
            (x - 11, y + 5, "right"),
            (x, y - 12, "center"),
            (x, y + 22, "center"),
            (x + 9, y - 9, "left"),
            (x - 9, y - 9, "right"),
            (x + 9, y + 18, "left"),
            (x - 9, y + 18, "right"),
        ]
        free = (choice for choice in choices if _is_free(_box(*choice, width), taken))
        chosen = next(free, None)
        if chosen is not None:
            taken.append(_box(*chosen, width))
        found.append(chosen)
    return found


def _box(x: float, y: float, anchor: str, width: float) -> Box:
    left = {"left": x, "center": x - width / 2, "right": x - width}[anchor]
    return left, y - 12, left + width, y + 4


def _is_free(box: Box, taken: Iterable[Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH - 2 and top >= 0 and bottom <= HEIGHT - BOTTOM
    return inside and not any(left < one[2] and one[0] < right and top < one[3] and one[1] < bottom for one in taken)


def _axes(x_title: str, y_title: str) -> Axes:
    """Return empty axes on a canvas of WIDTH x HEIGHT units."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    size = (WIDTH - LEFT - RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / HEIGHT
    axes = figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, *size), frameon=False)
    axes.set_axisbelow(True)
    axes.grid(color=LINE, linewidth=1)
    axes.tick_params(which="both", length=0, labelsize=FONT, labelcolor=SOFT)
    axes.set_xlabel(x_title, fontsize=FONT, color=SOFT)
    axes.set_ylabel(y_title, fontsize=FONT, color=SOFT)
    axes.xaxis.set_label_coords(0.5, -34 / (HEIGHT - TOP - BOTTOM))
    axes.yaxis.set_label_coords(-54 / (WIDTH - LEFT - RIGHT), 0.5)
    return axes


def _limit(axes: Axes, values: Sequence[float]) -> float:
    """Let the y axis end at ticks around the values; return its lower end."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    locator = MaxNLocator(nbins=7, steps=[1, 2, 5, 10])
    ticks = locator.tick_values(low, high)
    axes.set_ylim(ticks[0], ticks[-1])
    axes.yaxis.set_major_locator(locator)
    return float(ticks[0])


def _colour(mark: Mark) -> str:
    return f"#02020{mark.colour}"


def _mark(axes: Axes, x: float, y: float, mark: Mark | None) -> Line2D:
    """Draw a mark; a hollow circle for None."""
    marker, size = SHAPES[mark.shape if mark else "circle"]
    face, edge = (_colour(mark), _colour(mark)) if mark else (CARD, SOFT)
    (drawn,) = axes.plot(
        [x],
        [y],
        marker=marker,
        markersize=size,
        markerfacecolor=face,
        markeredgecolor=edge,
        linestyle="",
        clip_on=False,
    )
    return drawn


def _label(axes: Axes, points: Sequence[Point]) -> None:
    """Write the names of the points where there is room."""
    on_canvas = axes.transData.transform([(point.x, point.y) for point in points])
    places = place_labels([(float(x), HEIGHT - float(y)) for x, y in on_canvas], [point.name for point in points])
    for number, (point, place) in enumerate(zip(points, places, strict=True)):
        if place:
            at, colour = (place[0], HEIGHT - place[1]), INK if point.mark else SOFT
            text = axes.annotate(point.name, at, xycoords="figure pixels", color=colour, ha=place[2], fontsize=FONT)
            text.set_gid(f"label{number}")


_NEEDLESS = re.compile(
    r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>|font-[a-z]+: [^;\"]*;? ?|<g/>|(?<=\s)\s+", re.DOTALL
)


def _svg(axes: Axes, label: str, tips: Sequence[str]) -> str:
    """Return the <svg> element of a chart, in the page's colours and font, without ids that nothing refers to.

    Args:
        axes: what to write.
        label: what the chart shows, for those who cannot see it.
        tips: the texts of the things whose ids are tip0, tip1 and so on.
    """
    figure, text = axes.get_figure(root=True), io.StringIO()
    assert figure is not None
    # Ids are hashes with this salt: charts of one page must not share any
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{label} {tips}"}):
        figure.savefig(text, format="svg", transparent=True)
    inner = _NEEDLESS.sub("", text.getvalue().partition("<svg ")[2].partition(">")[2])
    inner = re.sub(r'<g id="label\d+">', '<g class="label">', inner)
    inner = re.sub(r'<g id="tip(\d+)">', lambda at: f"<g><title>{html.escape(tips[int(at[1])])}</title>", inner)
    inner = re.sub(r' id="([^"]+)"', lambda at: at[0] if f"#{at[1]}" in inner else "", inner)
    inner = re.sub("|".join(PAGE), lambda at: f"var(--{PAGE[at[0]]})", inner).replace("xlink:href", "href")
    shown = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}"'
    return f'<svg class="chart" {shown}>{inner}'.strip()
