"""The cards of the models that come with the library, and how a recorded model is put among them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lutra.files import write_whole
from lutra.model import artifact
from lutra.model.artifact import Artifact
from pipeline.reporting.papers import title
from pipeline.reporting.record import RESULTS, ZOO, Recorded


def ship(name: str, result: Path, model: Path, zoo: Path = ZOO) -> Path:
    """Put a recorded model among those that come with the library, with its card.

    Args:
        name: under which `lutra models` lists it.
        result: the file that `record` wrote.
        model: the finetuned model.
        zoo: where to put it.
    """
    recorded, loaded = Recorded.from_json(json.loads(result.read_text())), artifact.load(model)
    path = zoo / f"{name}.safetensors"
    use = "research" if recorded.not_free else "free"
    provenance = {**loaded.provenance, "licence": "; ".join(recorded.licences), "use": use}
    artifact.save(path, replace(loaded, provenance=provenance, metrics={"finetuned": recorded.result.final}))
    write_whole(zoo / f"{name}.md", card(name, recorded, loaded))
    return path


def write_cards(zoo: Path = ZOO, results: Path = RESULTS) -> list[Path]:
    """Write the cards of all models that come with the library from their recorded results; return their files."""
    written = []
    for path in sorted(zoo.glob("*.safetensors")):
        recorded = Recorded.from_json(json.loads((results / f"{path.stem}.json").read_text()))
        write_whole(path.with_suffix(".md"), card(path.stem, recorded, artifact.load(path)))
        written.append(path.with_suffix(".md"))
    return written


def card(name: str, recorded: Recorded, model: Artifact) -> str:
    """Return the card of a model of the zoo, in Markdown."""
    kept = recorded.not_free
    ship = f"No: {' and '.join(kept)} may not be used for every purpose" if kept else "Yes, for any purpose"
    cores = recorded.machine["cores"]
    protocol, result, any_size = recorded.protocol, recorded.result, model.description.any_size is not None
    rows = [
        f"| {data} | {protocol.caption(result.baseline[data])} | {protocol.caption(scores)} |"
        for data, scores in result.final.items()
    ]
    start = f", from `{recorded.start['model']}` on," if recorded.start else ""
    lines = [
        f"# {name}",
        "",
        f"{title(protocol)} by family {model.description.family}, {model.table_bytes} bytes of tables.",
        "",
        *([f"- Restores to any size, and through a homography; scored at x{protocol.scale}."] if any_size else []),
        f"- Images: {'; '.join(recorded.licences)}.",
        "- Licence of the tables: MIT, the project's.",
        f"- May I ship it? {ship}.",
        f"- Trained in {60 * recorded.minutes:.0f} seconds{start} on {cores} core{'s' if cores > 1 else ''} "
        f"({recorded.machine['processor']}).",
        f"- Recipe: `{recorded.command}`. Parameters and versions: `results/{recorded.experiment}.json`.",
        "",
        f"| {protocol.legend} | {protocol.baseline_name} | restored |",
        "|---|---|---|",
        *rows,
        "",
        f"Protocol: {result.protocol}.",
    ]
    return "\n".join(lines) + "\n"
