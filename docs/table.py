"""Draw docs/table.png, the figure of docs/tables.md: `python docs/table.py`, from the project's folder."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from lutra.model import artifact
from lutra.zoo import models

NODES = 17
ROTATIONS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98")


def taps(axis: Axes) -> None:
    """Draw the four taps of one pixel, and where the rotations put them."""
    for row in range(3):
        for column in range(3):
            axis.add_patch(Rectangle((column, row), 1, 1, facecolor="white", edgecolor="0.6"))
    for number, (row, column) in enumerate(((1, 1), (1, 0), (0, 0), (0, 1))):
        corners = [(column, row), (column + 2, row), (column + 2, row + 2), (column, row + 2)]
        inset = [(x + (0.07 if x < 2 else -0.07), y + (0.07 if y < 2 else -0.07)) for x, y in corners]
        first = number == 0
        axis.add_patch(
            Polygon(
                inset,
                facecolor=ROTATIONS[0] if first else "none",
                alpha=0.25 if first else 0.9,
                edgecolor=ROTATIONS[number],
                linewidth=0 if first else 1.6,
                linestyle="--",
            )
        )
    for name, place in {"a": (1.5, 1.5), "b": (2.5, 1.5), "c": (1.5, 2.5), "d": (2.5, 2.5)}.items():
        axis.text(*place, name, ha="center", va="center", fontsize=14, weight="bold", color=ROTATIONS[0])
    axis.set(xlim=(-0.1, 3.1), ylim=(3.1, -0.1), xticks=[], yticks=[], aspect="equal")
    axis.set_title("1  A unit sees four pixels;\nthe rotations see the other sides", fontsize=10)


def table(axis: Axes) -> None:
    """Draw a slice of a trained table: the first value of its block over the taps a and b, with c = b and d = a."""
    model = artifact.load(models()["srlut-x4"])
    (unit,) = (unit for _, unit in model.description.units())
    values = model.table(unit.name)[:, 0].reshape((NODES,) * 4)
    first, second = np.meshgrid(np.arange(NODES), np.arange(NODES), indexing="ij")
    shown = axis.imshow(values[first, second, second, first].T, origin="lower", cmap="RdBu_r", vmin=-128, vmax=127)
    axis.figure.colorbar(shown, ax=axis, fraction=0.046, label="entry, int8")
    ticks = [0, 4, 8, 12, 16]
    axis.set(xticks=ticks, yticks=ticks, xlabel="a", ylabel="b")
    axis.set_xticklabels([str(16 * tick) for tick in ticks])
    axis.set_yticklabels([str(16 * tick) for tick in ticks])
    axis.set_title("2  Its outputs at the nodes, every\n16 levels, become a table (a slice)", fontsize=10)


def simplex(axis: Axes) -> None:
    """Draw how a value between nodes is interpolated: from the corners of one simplex."""
    axis.add_patch(Polygon([(0, 0), (1, 0), (1, 1)], facecolor="#f5cba7"))
    axis.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="0.6")
    axis.plot([0, 1], [0, 1], color="0.6")
    axis.plot([0, 1, 1], [0, 0, 1], "o", color=ROTATIONS[0], markersize=9)
    axis.plot([0], [1], "o", color="0.75", markersize=9)
    axis.plot([0.7], [0.3], "k*", markersize=13)
    for text, place in (("weight 1 - x", (0.02, -0.12)), ("x - y", (0.93, -0.12)), ("y", (1.0, 1.07))):
        axis.text(*place, text, fontsize=10, ha="left" if place[0] < 0.5 else "center")
    axis.text(0.66, 0.36, "(x, y)", ha="right", fontsize=10)
    axis.set(xlim=(-0.15, 1.2), ylim=(-0.25, 1.25), xticks=[], yticks=[], aspect="equal")
    axis.set_frame_on(False)
    axis.set_title("3  Between nodes, the nearest corners\ncount: 3 of 4 here, 5 of 16 in 4-D", fontsize=10)


if __name__ == "__main__":
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.3), layout="constrained")
    taps(axes[0])
    table(axes[1])
    simplex(axes[2])
    figure.savefig("docs/table.png", dpi=110)
