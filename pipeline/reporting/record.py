"""`python -m pipeline record`: keeps an experiment's figures under results/, and the README's tables of them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from lutra.evaluation import bench, protocols
from lutra.evaluation.protocols import Protocol
from lutra.files import write_whole
from lutra.model import artifact
from lutra.model.tasks import TASKS
from lutra.zoo import Facts
from pipeline import PROJECT
from pipeline.data.catalogue import catalogue
from pipeline.declaration import find
from pipeline.params import set_name
from pipeline.reporting.papers import order, title
from pipeline.reporting.results import Result
from pipeline.running.job import Job
from pipeline.running.provenance import train_name

RESULTS = PROJECT / "results"
README = PROJECT / "README.md"
ZOO = PROJECT / "lutra" / "zoo"
MARKS = ("<!-- results: written by `python -m pipeline record` -->\n", "<!-- end of results -->")


@dataclass(frozen=True)
class Recorded:
    """The content of results/EXPERIMENT.json: a result, and everything needed to make it again.

    trained_on: the names of the image sets; held_out: how many images of the first. colours: the set that dead leaves
    take their colours from, if there are any. start: "model", which training started from, if it did, with the
    "licence" of its images and the "use" that it allows. minutes: wall-clock of training and finetuning. command: what
    was run. parameters, machine, versions: as they were then.
    """

    experiment: str
    trained_on: str
    held_out: int
    parameters: Mapping[str, Any]
    result: Result
    minutes: float
    command: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    colours: str = ""
    start: Mapping[str, str] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """The names of all image sets that the model depends on."""
        named = self.trained_on.split(" + ")
        return named + [self.colours] * (self.colours not in ("", *named))

    @property
    def licences(self) -> list[str]:
        """The licences of the images, those behind the model that training started from among them."""
        own = licences(self.images)
        if not self.start:
            return own
        others = [licence for licence in self.start["licence"].split("; ") if licence not in own]
        return own + (others and [f"behind {self.start['model']}, which it starts from: {others[0]}", *others[1:]])

    @property
    def not_free(self) -> list[str]:
        """What forbids shipping the tables for any purpose: image sets, the model that training started from."""
        behind = [self.start["model"]] if self.start and self.start["use"] != "free" else []
        return not_free(self.images) + behind

    @property
    def protocol(self) -> Protocol:
        """The protocol that the result was scored by."""
        return protocols.of(self.result.task, self.result.options)

    def to_json(self) -> dict[str, Any]:
        """Return the file's content."""
        return {
            "experiment": self.experiment,
            "data": {"train": self.trained_on, "images_held_out": self.held_out}
            | ({"colours": self.colours} if self.colours else {})
            | ({"start": dict(self.start)} if self.start else {}),
            "parameters": self.parameters,
            "metrics": self.result.to_json(),
            "training_minutes": self.minutes,
            "command": self.command,
            "machine": self.machine,
            "versions": self.versions,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recorded:
        """Rebuild a record from what `to_json` returns."""
        return cls(
            content["experiment"],
            content["data"]["train"],
            content["data"]["images_held_out"],
            content["parameters"],
            Result.from_json(content["metrics"]),
            content["training_minutes"],
            content["command"],
            content["machine"],
            content["versions"],
            content["data"].get("colours", ""),
            content["data"].get("start", {}),
        )


def record(job: Job, command: str, minutes: float, results: Path = RESULTS) -> Path:
    """Write results/EXPERIMENT.json: scores, data, parameters, versions, machine and how it was made.

    Args:
        job: of the stage evaluate, with the parameters that the stages were run with.
        command: what was run, for the reader to run again.
        minutes: wall-clock of training and finetuning.
        results: where to write.

    Raises:
        FileNotFoundError: the experiment was not evaluated under this root.
    """
    result = Result.read(job.outputs["metrics"])
    model = artifact.load(job.inputs["finetuned"])
    drawn, start = "deadleaves" in job.params.train_sets(job.block.task), job.block.train.start
    known = Facts.of(start) if start else None
    content = Recorded(
        job.name,
        train_name(job.params, job.name),
        job.params.data.validate,
        job.block.model_dump(mode="json"),
        result,
        minutes,
        command,
        hardware(),
        model.provenance.get("versions", {}),
        set_name(job.params.data.deadleaves.colours) if drawn else "",
        {"model": job.block.train.init, "licence": known.licence, "use": known.use} if known else {},
    )
    path = results / f"{job.name}.json"
    write_whole(path, json.dumps(content.to_json(), indent=2) + "\n")
    return path


def command_of(job: Job, params: Path) -> str:
    """Return the commands that run all stages of an experiment, in one line."""
    options = f"--params {params} --root {job.root}"
    stage = f"python -m pipeline $stage --experiment {job.name} {options}"
    stages = f"for stage in train export finetune evaluate; do {stage}; done"
    return f"python -m pipeline prepare --task {job.task} {options} && {stages}"


def minutes_of(job: Job) -> float:
    """Return how long training and finetuning took, as Snakemake measured it under this root.

    Raises:
        FileNotFoundError: Snakemake did not run them there.
    """
    seconds = 0.0
    for stage in ("train", "finetune"):
        path = job.root / find(stage).benchmark.format(**job.target)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: not found, expected Snakemake's benchmark, or --minutes")
        seconds += float(path.read_text().splitlines()[1].split("\t")[0])
    return round(seconds / 60, 1)


def licences(names: Sequence[str]) -> list[str]:
    """Return each image set with its licence, such as "samples: CC0"; the catalogue knows them."""
    sets = catalogue()
    return [f"{name}: {sets[name].licence if name in sets else 'not known here'}" for name in names]


def not_free(names: Sequence[str]) -> list[str]:
    """Return the image sets whose terms forbid shipping tables for any purpose, and those that the catalogue lacks."""
    sets = catalogue()
    return [name for name in names if name not in sets or not sets[name].free]


def hardware() -> dict[str, Any]:
    """Return the measuring machine: its processor, the cores that this process may use, its memory."""
    measured = bench.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return {
        "processor": measured["processor"],
        "architecture": platform.machine(),
        "cores": measured["cores"],
        "memory_gib": round(memory),
    }


def results_tables(results: Path = RESULTS) -> str:
    """Return the README's tables: one for each task and scale, with a row for each recorded experiment."""
    contents = (json.loads(path.read_text()) for path in sorted(results.glob("*.json")))
    records = [Recorded.from_json(content) for content in contents if "experiment" in content]
    groups: dict[tuple[object, ...], list[Recorded]] = {}
    for one in sorted(records, key=lambda one: (list(TASKS).index(one.result.task), one.protocol.scale)):
        severity = TASKS[one.result.task].severity
        others = sorted((name, str(value)) for name, value in one.result.options.items() if name != severity)
        groups.setdefault((one.result.task, one.protocol.scale, *others), []).append(one)
    return "\n".join(_table(group) for group in groups.values())


def _table(records: Sequence[Recorded]) -> str:
    protocol = _common(records)
    baseline = {label: values for one in records for label, values in _labelled(one, one.result.baseline).items()}
    sets = sorted(baseline, key=order)
    lines = [f"**{title(protocol)}**, {protocol.legend}", ""]
    lines.append("| model | trained on | minutes | table KiB | " + " | ".join(sets) + " |")
    lines.append("|---|---|---:|---:|" + "---|" * len(sets))
    lines.append(
        f"| {protocol.baseline_name} | | | | " + " | ".join(_cell(protocol, baseline[name]) for name in sets) + " |"
    )
    for one in records:
        images = one.trained_on if not_free(one.images) else "free images"
        scores = _labelled(one, one.result.final)
        cells = [one.experiment, images, f"{one.minutes:.0f}", f"{one.result.table_kib:.0f}"]
        cells += [_cell(protocol, scores.get(name)) for name in sets]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"Protocol: {protocol.text}."]) + "\n"


def _labelled(one: Recorded, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    """Return scores with the severity of the task's degradation in the names of the image sets."""
    task = TASKS[one.result.task]
    value = one.result.options.get(task.severity or "")
    return {name + task.suffix(value): found for name, found in scores.items()} if _is_one(value) else dict(scores)


def _common(records: Sequence[Recorded]) -> Protocol:
    """Return the protocol of a table's records: that of their options, with the range of all their severities."""
    result = records[0].result
    severity = TASKS[result.task].severity
    if severity is None:
        return records[0].protocol
    found = [one.result.options[severity] for one in records]
    ends = [float(end) for value in found for end in ([value] if _is_one(value) else value)]
    return protocols.of(result.task, {**result.options, severity: [min(ends), max(ends)]})


def _is_one(value: object) -> TypeGuard[float]:
    """Return whether a severity is one number, not a range or none."""
    return isinstance(value, int | float)


def readme_with_table(text: str, results: Path = RESULTS) -> str:
    """Return the README's text with its tables as the results are now."""
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    return text[:start] + results_tables(results) + text[end:]


def _cell(protocol: Protocol, values: Mapping[str, float] | None) -> str:
    return protocol.caption(values).replace(" dB", "") if values else ""
