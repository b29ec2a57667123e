"""The report as one HTML page that needs nothing else: its content; templates/report.html.j2 is its form."""

from __future__ import annotations

import csv
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lutra.evaluation import bench
from lutra.evaluation.protocols import LABELS, Protocol
from lutra.imaging.metrics import CEILING
from pipeline.reporting import charts, rows
from pipeline.reporting.charts import Chart, Line, Mark, Point
from pipeline.reporting.papers import Published, order
from pipeline.reporting.pictures import Example
from pipeline.reporting.rows import Shown
from pipeline.reporting.speed import Speed
from pipeline.running import provenance

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Made:
    """The time, machine and versions with which a page was made."""

    when: str
    commit: str
    machine: str
    python: str

    @classmethod
    def now(cls) -> Made:
        """Return this moment and this machine, described by its processor and without its name."""
        found = provenance.commit()
        commit = f"{found[0][:12]}{', with uncommitted changes' if found[1] else ''}" if found else "not under git"
        here = bench.machine()
        machine = f"{here['processor']}, {here['cores']} cores, {here['system']}"
        return cls(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), commit, machine, platform.python_version())


@dataclass(frozen=True)
class TaskSection:
    """A task and its experiments, as the page takes them.

    task: its name in params.yaml.
    protocol: of the task.
    experiments: in the order shown.
    published: the published systems that may be compared with them.
    speed: of every experiment's finetuned tables; None for a page without times.
    pictures: for the before-and-after view.
    """

    task: str
    protocol: Protocol
    experiments: Sequence[Shown]
    published: Published
    speed: Speed | None
    pictures: Sequence[Example]


def html(sections: Sequence[TaskSection], made: Made | None = None) -> str:
    """Return the page of one task, or of several below each other.

    Args:
        sections: one a task.
        made: when and where; None for a page that is the same for the same sections.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(sections=[_drawn(section) for section in sections], made=made)


def _drawn(section: TaskSection) -> dict[str, Any]:
    """Return what the template shows of a section."""
    protocol, experiments, speed, pictures = section.protocol, section.experiments, section.speed, section.pictures
    sets = sorted({name for shown in experiments for name in shown.result.baseline}, key=order)
    table = rows.TaskTable(protocol, experiments, sets, speed)
    marks = {shown.name: Mark.of(number) for number, shown in enumerate(experiments)}
    pairs = {name: scatters(name, section, marks) for name in sets}
    tiles = table.tiles()
    return {
        "task": section.task,
        "title": rows.heading(protocol, experiments[0].result.options),
        "protocol": protocol,
        "sets": sets,
        "measures": [(measure, LABELS[measure]) for measure in protocol.measures],
        "experiments": experiments,
        "marks": marks,
        "tiles": tiles,
        "baseline": table.baseline(),
        "rows": table.rows(marks),
        "published": section.published,
        "published_rows": table.published(section.published),
        "scatters": pairs if any(len(pair[0].tips) > 1 for pair in pairs.values()) else {},
        "curves": [chart for stage in ("finetune", "train") if (chart := curve_chart(stage, experiments, marks))],
        "speed": speed,
        "pictures": pictures,
        "gallery": [_plain(picture) for picture in pictures],
        "first_versions": _first_versions(protocol, pictures, tiles[0][2]),
        "versions": _versions(experiments),
    }


def scatters(data: str, section: TaskSection, marks: Mapping[str, Mark]) -> list[Chart]:
    """Draw the main measure on one image set against the tables' size and, where it is known, against time."""
    protocol, speed = section.protocol, section.speed
    measure, label = protocol.main, LABELS[protocol.main]
    scored = [shown for shown in section.experiments if data in shown.result.final]
    heights = {shown.name: shown.result.final[data][measure] for shown in scored}
    sizes = [Point(shown.name, shown.result.table_kib, heights[shown.name], marks[shown.name]) for shown in scored]
    sizes += [
        Point(system.name, system.table_bytes / 1024, system.scores[data][measure])
        for system in section.published.systems
        if data in system.scores
    ]
    level = protocol.baseline_name, scored[0].result.baseline[data][measure]
    title, x_title = f"{data}: quality and size", "KiB of tables, logarithmic"
    drawn = [charts.scatter(sizes, title=title, x_title=x_title, y_title=label, level=level)]
    if speed is not None:
        times = [Point(name, speed.milliseconds[name], y, marks[name]) for name, y in heights.items()]
        title, x_title = f"{data}: quality and time", "ms per 1280x720 frame, logarithmic"
        drawn.append(charts.scatter(times, title=title, x_title=x_title, y_title=label, level=level))
    return drawn


def curve_chart(stage: str, experiments: Sequence[Shown], marks: Mapping[str, Mark]) -> Chart | None:
    """Return the curves of a stage, overlaid; None if no experiment took a step in it."""
    lines = [Line(shown.name, marks[shown.name], shown.curves[stage]) for shown in experiments]
    lines = [line for line in lines if len(line.points) > 1]
    names = {"train": "Training", "finetune": "Finetuning of the tables"}
    if not lines:
        return None
    return charts.curves(lines, title=names[stage], x_title="step", y_title="PSNR of held-out images, dB")


def read_curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Steps and validation PSNR by stage, from evaluate's curves.csv."""
    found: dict[str, list[tuple[float, float]]] = {"train": [], "finetune": []}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["val_psnr"]:
                # older versions gave equal images an infinite PSNR
                found[row["stage"]].append((float(row["step"]), min(CEILING, float(row["val_psnr"]))))
    return found


def _versions(experiments: Sequence[Shown]) -> dict[str, list[str]]:
    """Return the versions of each package that the models were trained with."""
    packages = sorted({package for shown in experiments for package in shown.versions})
    return {
        name: sorted({shown.versions[name] for shown in experiments if name in shown.versions}) for name in packages
    }


def _first_versions(protocol: Protocol, pictures: Sequence[Example], best: str) -> tuple[int, int]:
    """Return the places of the two versions that the view starts with: the baseline and the best experiment."""
    labels = [version.label for version in pictures[0].versions] if pictures else [protocol.baseline_name, best]
    return labels.index(protocol.baseline_name), labels.index(best)


def _plain(picture: Example) -> dict[str, Any]:
    """Return the data of a picture that the page's script needs."""
    versions = [{"label": version.label, "score": version.score, "uri": version.uri} for version in picture.versions]
    return {"width": picture.crop.width, "height": picture.crop.height, "versions": versions}
