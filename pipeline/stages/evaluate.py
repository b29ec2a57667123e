"""Stage evaluate: score the input, network, exported and finetuned table by the task's protocol, and draw sheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lutra.evaluation.protocols import Protocol
from lutra.evaluation.scoring import Restore, Sample, Scored, score, sheet
from lutra.files import all_at_once, write_whole
from lutra.model import artifact
from lutra.restore.restorer import Restorer
from pipeline import tracking
from pipeline.data import packed
from pipeline.data.packed import PackedImages, interleaved
from pipeline.params import Params, set_name
from pipeline.reporting import compared, speed
from pipeline.running.whole import whole_folder

Scores = dict[str, dict[str, float]]
"""Of one image: {kind: {measure: value}}; the kinds are the protocol's baseline, network, exported and finetuned."""


def run(params: Params, experiment: str, root: Path) -> None:
    """Evaluate one experiment and write metrics.json, scores.json, images.csv, sheets/ and what the report shows of it.

    The model and the curves are copied beside the scores, because a task's report reads the folders of its own
    experiments alone.
    """
    block, task = params.experiment(experiment), params.task_of(experiment)
    protocol = task.protocol()
    data = root / "prepare" / block.task / "evaluate"
    out = root / "evaluate" / block.task / experiment
    files = {
        "network": root / "train" / experiment / "network.safetensors",
        "exported": root / "export" / experiment / "model.safetensors",
        "finetuned": root / "finetune" / experiment / "model.safetensors",
    }
    artifacts = {kind: artifact.load(path) for kind, path in files.items()}
    restorers = {kind: Restorer(loaded) for kind, loaded in artifacts.items()}
    models: dict[str, Restore] = {kind: restorer.restore_planes for kind, restorer in restorers.items()}
    with tracking.stage_run(
        params.tracking,
        stage="evaluate",
        experiment=experiment,
        root=root,
        note=f"Protocol: {protocol.text}.",
        **compared.settings(params, experiment),
    ) as log:
        packed.check(data, *(folder.name for folder in _folders(data)))
        with all_at_once():
            with whole_folder(out / "sheets") as sheets:
                sets = {folder.name: PackedImages(folder) for folder in _folders(data)}
                drawn = {name: images.names[: block.evaluate.sheets] for name, images in sets.items()}
                draw = partial(_draw, sheets, sheet_names(drawn), experiment, protocol)
                rows = {name: _score_set(name, images, models, protocol, draw) for name, images in sets.items()}
            metrics = _summary(rows) | {
                "family": block.family,
                "task": task.task,
                "options": task.options,
                "measures": list(protocol.measures),
                "table_bytes": artifacts["finetuned"].table_bytes,
                "protocol": protocol.text,
            }
            write_whole(out / "images.csv", _csv(rows))
            write_whole(out / "curves.csv", _curves(root, experiment))
            write_whole(out / "model.safetensors", files["finetuned"].read_bytes())
            write_whole(out / "scores.json", json.dumps(_short(metrics), indent=2, allow_nan=False) + "\n")
            write_whole(out / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
        log.artifact(out / "metrics.json")
        log.artifact(out / "images.csv")
        for image in sorted((out / "sheets").iterdir()):
            log.image(image, f"sheets/{image.name.removesuffix('.png')}")
        first = set_name(params.evaluate_sets(block.task)[0])
        log.model(
            files["finetuned"],
            compared.registered_name(task),
            compared.version_tags(metrics, first if first in rows else next(iter(rows))),
            compared.scores(metrics) | {"ms_per_1280x720_frame": round(_milliseconds(restorers["finetuned"]), 2)},
        )


def _milliseconds(restorer: Restorer) -> float:
    """For a frame, as the report measures it: to MLflow alone, for it is another every time."""
    return speed.measure({"it": restorer}, restorer.scale).milliseconds["it"]


def _folders(data: Path) -> list[Path]:
    return sorted(path for path in data.iterdir() if path.is_dir())


def sheet_names(sets: Mapping[str, Sequence[str]]) -> dict[tuple[str, int], str]:
    """Return what the sheets of images are called, without ending, by set and place in it; no two are alike.

    SET-IMAGE without the image's ending where that tells all apart, also where large and small letters are one; with
    the ending, or with the place too, where it does not.

    Args:
        sets: the images' names, unique in a set, by its name.
    """
    places = [(name, number, image) for name, images in sets.items() for number, image in enumerate(images)]
    ways = (
        [f"{name}-{Path(image).stem}" for name, _, image in places],
        [f"{name}-{image.replace('/', '-')}" for name, _, image in places],
        [f"{name}-{image.replace('/', '-')}-{place}" for place, (name, _, image) in enumerate(places)],
    )
    chosen = next((names for names in ways if len({one.casefold() for one in names}) == len(names)), ways[-1])
    return {(name, number): found for (name, number, _), found in zip(places, chosen, strict=True)}


def _score_set(
    name: str,
    images: PackedImages,
    models: dict[str, Restore],
    protocol: Protocol,
    draw: Callable[[str, int, Scored], None],
) -> dict[str, Scores]:
    """Return the scores of a set's images, by name; `draw` gets set, place and image one by one."""
    rows = {}
    for number, scored in enumerate(_score(images, models, protocol)):
        rows[scored.sample.name] = scored.scores
        draw(name, number, scored)
    return rows


def _score(images: PackedImages, models: dict[str, Restore], protocol: Protocol) -> Iterator[Scored]:
    methods = {protocol.baseline_name: protocol.baseline, **models}
    for index, name in enumerate(images.names):
        sample = Sample(name, interleaved(images.input(index)), interleaved(images.target(index)))
        try:
            yield score(sample, methods, protocol)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _draw(
    folder: Path,
    names: Mapping[tuple[str, int], str],
    experiment: str,
    protocol: Protocol,
    name: str,
    number: int,
    scored: Scored,
) -> None:
    """Write the sheet of an image of a set if `names` holds a name for it."""
    if (name, number) in names:
        write_whole(folder / f"{names[name, number]}.png", _sheet(scored, experiment, protocol))


def _sheet(scored: Scored, experiment: str, protocol: Protocol) -> bytes:
    kinds = {protocol.baseline_name: protocol.baseline_name, f"{experiment} (table)": "finetuned"}
    restored = {label: scored.restored[kind] for label, kind in kinds.items()}
    scores = {label: scored.scores[kind] for label, kind in kinds.items()}
    shown = Scored(scored.sample, restored, scores)
    return _png(sheet(shown, protocol, title=protocol.titled(scored.sample.name)))


def _kinds(rows: dict[str, dict[str, Scores]]) -> list[str]:
    return list(next(iter(next(iter(rows.values())).values())))


def _summary(rows: dict[str, dict[str, Scores]]) -> dict[str, object]:
    """{kind: {set: {measure: mean over images}}}."""
    return {
        kind: {
            name: {
                measure: round(fmean(scores[kind][measure] for scores in images.values()), 6)
                for measure in next(iter(images.values()))[kind]
            }
            for name, images in rows.items()
        }
        for kind in _kinds(rows)
    }


def _short(metrics: dict[str, Any]) -> dict[str, Any]:
    """What is compared between runs, numbers alone: the finetuned tables' size and scores, by image set."""
    return {"table_kib": round(metrics["table_bytes"] / 1024, 1), **metrics["finetuned"]}


def _csv(rows: dict[str, dict[str, Scores]]) -> str:
    text = io.StringIO()
    first = next(iter(next(iter(rows.values())).values()))
    columns = [(kind, measure) for kind, values in first.items() for measure in values]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "image", *(f"{kind}_{measure}" for kind, measure in columns)])
    for name, images in rows.items():
        for image, scores in images.items():
            writer.writerow([name, image, *(f"{scores[kind][measure]:.6f}" for kind, measure in columns)])
    return text.getvalue()


def _curves(root: Path, experiment: str) -> str:
    """The curves of training and finetuning as one CSV, the stage in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "step", "loss", "val_psnr"])
    for stage in ("train", "finetune"):
        with (root / stage / experiment / "curve.csv").open(newline="") as file:
            writer.writerows([stage, *row.values()] for row in csv.DictReader(file))
    return text.getvalue()


def _png(sheet: object) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)  # type: ignore[attr-defined]
    return buffer.getvalue()
