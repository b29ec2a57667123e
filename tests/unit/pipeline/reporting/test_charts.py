"""The charts: ticks, places, labels, tips and the colours of the page."""

import re
from itertools import combinations
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from pipeline.reporting import charts
from pipeline.reporting.charts import Chart, Line, Mark, Point


def read(chart: Chart) -> Element:
    return ElementTree.fromstring(chart.svg)


def texts(chart: Chart) -> list[str]:
    return [one.text or "" for one in read(chart).iter("text")]


def place(chart: Chart, tip: str) -> tuple[float, float]:
    """Return where the mark with a tip lies."""
    (group,) = (one for one in read(chart).iter("g") if one.findtext("title") == tip)
    (use,) = group.iter("use")
    return float(use.attrib["x"]), float(use.attrib["y"])


def scatter(*points: Point, level: tuple[str, float] | None = None) -> Chart:
    return charts.scatter(points, title="Set5", x_title="KiB, logarithmic", y_title="PSNR, dB", level=level)


def test_logarithmic_axes_leave_room_and_span_a_factor_of_four() -> None:
    assert charts.log_range([100, 1000]) == pytest.approx((80, 1250))
    low, high = charts.log_range([10])
    assert high / low == pytest.approx(4) and low * high == pytest.approx(100)


def test_logarithmic_ticks_are_few() -> None:
    near, far = scatter(Point("a", 100, 30), Point("b", 1000, 31)), scatter(Point("a", 0.6, 30), Point("b", 9000, 31))
    assert {"100", "200", "500", "1000"} <= set(texts(near))
    assert {"1", "10", "100", "1000", "10000"} <= set(texts(far)) and "200" not in texts(far)


def test_a_factor_is_the_same_distance_everywhere_on_a_logarithmic_axis() -> None:
    chart = scatter(Point("a", 10, 30), Point("b", 100, 31), Point("c", 1000, 32))
    tips = ["a: 30.00 dB, 10 KiB", "b: 31.00 dB, 100 KiB", "c: 32.00 dB, 1e+03 KiB"]
    a, b, c = (place(chart, tip) for tip in tips)
    assert b[0] - a[0] == pytest.approx(c[0] - b[0])
    assert a[1] > b[1] > c[1]
    for x, y in (a, b, c):
        assert charts.LEFT < x < charts.WIDTH - charts.RIGHT and charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM


def test_a_baseline_is_drawn_where_it_leaves_the_points_room() -> None:
    points = Point("a", 1, 29.8), Point("b", 2, 30.4)
    near = scatter(*points, level=("bicubic", 28.4))
    assert "bicubic" in texts(near) and "stroke-dasharray" in near.svg and near.note == ""
    far = scatter(*points, level=("input", 20.2))
    assert "input" not in texts(far) and "stroke-dasharray" not in far.svg
    assert far.note == "input, 20.20, lies below the axis."


def test_names_are_written_at_the_points() -> None:
    chart = scatter(Point("a<b", 10, 30, Mark.of(2)), Point("paper", 1000, 32))
    assert {"a<b", "paper"} <= set(texts(chart))
    assert sum(one.get("class") == "label" for one in read(chart).iter("g")) == 2


def test_labels_cover_no_point_and_no_other_label() -> None:
    places = [(200.0 + 3 * number, 200.0 - 9 * number) for number in range(8)]
    names = [f"experiment-{number}" for number in range(8)]
    labels = charts.place_labels(places, names)
    boxes = [charts._box(*label, charts.GLYPH * len(name)) for label, name in zip(labels, names, strict=True) if label]
    assert boxes
    for one, other in combinations(boxes, 2):
        assert charts._is_free(one, [other])
    for box in boxes:
        assert charts._is_free(box, [(x, y, x, y) for x, y in places])


def test_a_bad_start_does_not_flatten_the_curves() -> None:
    lines = [
        Line("a", Mark.of(0), [(0, 8.0), (50, 25.0), (100, 26.0)]),
        Line("b", Mark.of(1), [(0, 25.5), (100, 25.8)]),
    ]
    chart = charts.curves(lines, title="", x_title="step", y_title="PSNR, dB")
    assert chart.note == "What lies below the axis is cut."
    ticks = texts(chart)
    assert {"0", "20", "40", "60", "80", "100"} <= set(ticks)
    assert min(float(tick) for tick in ticks if "." in tick) >= 24
    assert [one.text for one in read(chart).iter("title")] == ["a", "b"] == chart.tips


def test_charts_take_the_colours_of_the_page_and_its_font() -> None:
    chart = scatter(Point("a", 10, 30, Mark.of(3)), Point("b", 100, 31), level=("bicubic", 28.4))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", chart.svg))
    assert colours <= {"none", *(f"var(--{name})" for name in charts.PAGE.values())}
    assert {"var(--c3)", "var(--ink)", "var(--soft)", "var(--line)", "var(--card)"} <= colours
    assert "font" not in chart.svg and "<style" not in chart.svg


def test_equal_figures_give_equal_charts_and_other_figures_other_ids() -> None:
    one, same = (scatter(Point("a", 10, 30), Point("b", 100, 31)) for _ in range(2))
    other = scatter(Point("a", 10, 30), Point("b", 100, 32))
    assert one == same
    ids = [set(re.findall(r' id="([^"]+)"', chart.svg)) for chart in (one, other)]
    assert ids[0] and not ids[0] & ids[1]


def test_experiments_are_told_apart() -> None:
    assert len({Mark.of(number) for number in range(32)}) == 32
