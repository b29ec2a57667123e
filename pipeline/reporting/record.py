"""`python -m pipeline record`: keeps an experiment's figures under results/, and the README's tables of them."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from lutra.evaluation import bench, protocols
from lutra.evaluation.protocols import Protocol
from lutra.files import write_whole
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.model.tasks import TASKS
from pipeline import PROJECT
from pipeline.params import Params
from pipeline.reporting.papers import order, title
from pipeline.reporting.rows import read_metrics
from pipeline.running.provenance import train_name

RESULTS = PROJECT / "results"
README = PROJECT / "README.md"
ZOO = PROJECT / "lutra" / "zoo"
MARKS = ("<!-- results: written by `python -m pipeline record` -->\n", "<!-- end of results -->")


def record(params: Params, experiment: str, root: Path, command: str, minutes: float, results: Path = RESULTS) -> Path:
    """Write results/EXPERIMENT.json: scores, data, parameters, versions, machine and how it was made.

    Args:
        params: as the stages were run with.
        experiment: its name.
        root: where the stages wrote.
        command: what was run, for the reader to run again.
        minutes: wall-clock of training and finetuning.
        results: where to write.

    Raises:
        FileNotFoundError: the experiment was not evaluated under this root.
    """
    metrics = root / "evaluate" / params.experiment(experiment).task / experiment / "metrics.json"
    if not metrics.is_file():
        raise FileNotFoundError(f"{metrics}: not found; run `python -m pipeline evaluate` with this root first")
    model = artifact.load(root / "finetune" / experiment / "model.safetensors")
    content = {
        "experiment": experiment,
        "data": {"train": train_name(params, experiment), "images_held_out": params.data.validate},
        "parameters": params.experiment(experiment).model_dump(mode="json"),
        "metrics": read_metrics(metrics),
        "training_minutes": minutes,
        "command": command,
        "machine": machine(),
        "versions": model.provenance.get("versions", {}),
    }
    path = results / f"{experiment}.json"
    write_whole(path, json.dumps(content, indent=2) + "\n")
    return path


def ship(name: str, result: Path, model: Path, licence: str, zoo: Path = ZOO) -> Path:
    """Put a recorded model among those that come with the library, with its card.

    Args:
        name: under which `lutra models` lists it.
        result: the file that `record` wrote.
        model: the finetuned model.
        licence: of the data it was trained on, for the card and the model's metadata.
        zoo: where to put it.
    """
    recorded = json.loads(result.read_text())
    loaded = artifact.load(model)
    scores = {"finetuned": recorded["metrics"]["finetuned"]}
    path = zoo / f"{name}.safetensors"
    provenance = {**loaded.provenance, "licence": licence}
    artifact.save(path, replace(loaded, provenance=provenance, metrics=scores))
    write_whole(zoo / f"{name}.md", card(name, result, loaded, licence))
    return path


def card(name: str, result: Path, model: Artifact, licence: str) -> str:
    """Return the card of a model that comes with the library; the arguments are those of `ship`, the model loaded."""
    recorded = json.loads(result.read_text())
    protocol = _protocol(recorded)
    kinds = (protocol.baseline_name, "finetuned")
    rows = [
        f"| {data} | " + " | ".join(protocol.caption(recorded["metrics"][kind][data]) for kind in kinds) + " |"
        for data in recorded["metrics"]["finetuned"]
    ]
    lines = [
        f"# {name}",
        "",
        f"{title(protocol)} by family {model.description.family}, {model.table_bytes} bytes of tables.",
        f"Trained on {recorded['data']['train']} for {recorded['training_minutes']:.0f} minutes on "
        f"{recorded['machine']['cores']} cores ({recorded['machine']['processor']}).",
        "",
        f"| {protocol.legend} | {kinds[0]} | restored |",
        "|---|---|---|",
        *rows,
        "",
        f"Protocol: {recorded['metrics']['protocol']}.",
        "",
        f"Command: `{recorded['command']}`. Parameters and versions: `results/{result.name}`.",
        "",
        f"Licence: the tables are under the project's licence; {licence}.",
    ]
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    """Return what measured: the processor, how many of its cores this process may use, memory."""
    measured = bench.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return {
        "processor": measured["processor"],
        "architecture": platform.machine(),
        "cores": measured["cores"],
        "memory_gib": round(memory),
    }


def table(results: Path = RESULTS) -> str:
    """The README's tables: one for each protocol, with a row for each recorded experiment."""
    rows: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    rows = sorted(
        (row for row in rows if "experiment" in row), key=lambda row: list(TASKS).index(row["metrics"]["task"])
    )
    return "\n".join(_table(_protocol(group[0]), group) for group in _by_protocol(rows))


def _table(protocol: Protocol, rows: list[dict[str, Any]]) -> str:
    baseline = protocol.baseline_name
    sets = sorted({name for row in rows for name in row["metrics"][baseline]}, key=order)
    lines = [f"**{title(protocol)}**, {protocol.legend}", ""]
    lines.append("| model | trained on | minutes | table KiB | " + " | ".join(sets) + " |")
    lines.append("|---|---|---:|---:|" + "---|" * len(sets))
    cells = [_cell(protocol, rows[0]["metrics"][baseline].get(name)) for name in sets]
    lines.append(f"| {baseline} | | | | " + " | ".join(cells) + " |")
    for row in rows:
        scores = row["metrics"]["finetuned"]
        cells = [row["experiment"], row["data"]["train"], f"{row['training_minutes']:.0f}"]
        cells += [f"{row['metrics']['table_bytes'] / 1024:.0f}", *(_cell(protocol, scores.get(name)) for name in sets)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"Protocol: {protocol.text}."]) + "\n"


def _by_protocol(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["metrics"]["protocol"], []).append(row)
    return list(groups.values())


def _protocol(recorded: dict[str, Any]) -> Protocol:
    metrics = recorded["metrics"]
    return protocols.of(metrics["task"], metrics["options"])


def readme_with_table(text: str, results: Path = RESULTS) -> str:
    """The README's text with its tables as the results are now."""
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    return text[:start] + table(results) + text[end:]


def _cell(protocol: Protocol, values: dict[str, float] | None) -> str:
    return protocol.caption(values).replace(" dB", "") if values else ""
