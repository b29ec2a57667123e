"""The charts' numbers: ranges, ticks, places and labels."""

from itertools import combinations

import pytest

from pipeline.reporting import charts
from pipeline.reporting.charts import PLOT, Line, Mark, Point


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([28.43, 30.2], (28, 30.5, 0.5)),
        ([0, 160], (0, 200, 50)),
        ([29.12, 29.12], (28.6, 29.8, 0.2)),
        ([0.001, 0.004], (0.001, 0.004, 0.001)),
    ],
)
def test_linear_axes_end_at_whole_steps(values: list[float], expected: tuple[float, ...]) -> None:
    assert charts.linear_range(values) == pytest.approx(expected)


def test_logarithmic_axes_leave_room_and_span_a_factor_of_four() -> None:
    assert charts.log_range([100, 1000]) == pytest.approx((80, 1250))
    low, high = charts.log_range([10])
    assert high / low == pytest.approx(4) and low * high == pytest.approx(100)


def test_logarithmic_ticks() -> None:
    assert charts.log_ticks(80, 1250) == [100, 200, 500, 1000]
    assert charts.log_ticks(0.5, 12_000) == [1, 10, 100, 1000, 10_000]


def test_a_factor_is_the_same_distance_everywhere_on_a_logarithmic_axis() -> None:
    points = [Point(name, x, y) for name, x, y in (("a", 10, 30), ("b", 100, 31), ("c", 1000, 32))]
    chart = charts.scatter(points, title="", x_title="KiB, logarithmic", y_title="PSNR, dB")
    a, b, c = chart.points
    assert b.x - a.x == pytest.approx(c.x - b.x)
    assert a.y > b.y > c.y
    assert a.tip == "a: 30.00 dB, 10 KiB"
    for point in chart.points:
        assert PLOT["left"] < point.x < PLOT["right"] and PLOT["top"] <= point.y <= PLOT["bottom"]


def test_a_baseline_is_drawn_where_it_leaves_the_points_room() -> None:
    points = [Point("a", 1, 29.8), Point("b", 2, 30.4)]
    near = charts.scatter(points, title="", x_title="x", y_title="PSNR, dB", level=("bicubic", 28.4))
    assert near.level is not None and near.level[1] == "bicubic" and near.note == ""
    assert near.level[0] > max(point.y for point in near.points)
    far = charts.scatter(points, title="", x_title="x", y_title="PSNR, dB", level=("input", 20.2))
    assert far.level is None and far.note == "input, 20.20, lies below the axis."


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
    assert float(chart.y_ticks[0].text) >= 24
    assert [tick.text for tick in chart.x_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert chart.strokes[0].path.startswith(f"M{PLOT['left']}.0 ") and chart.strokes[0].path.count("L") == 2
    assert chart.strokes[0].end == pytest.approx((PLOT["right"], chart.strokes[0].end[1]))


def test_experiments_are_told_apart() -> None:
    assert len({Mark.of(number) for number in range(32)}) == 32
