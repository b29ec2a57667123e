"""Stage evaluate: score the input, the network if there is one, and the tables by the task's protocol; draw sheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from lutra.evaluation.protocols import Protocol
from lutra.evaluation.scoring import Sample, Scored, score, sheet
from lutra.files import all_at_once, whole_folder, write_whole
from lutra.model import artifact
from lutra.restore.restorer import Restorer
from lutra.training.pairs import interleaved
from pipeline import tracking
from pipeline.data import packed
from pipeline.data.packed import PackedImages
from pipeline.reporting import logged, speed
from pipeline.reporting.results import Result
from pipeline.running.job import Job

KindScores = dict[str, dict[str, float]]
"""Scores of one image: {kind: {measure: value}}; a kind is the baseline, network, exported or finetuned."""


def run(job: Job) -> None:
    """Evaluate one experiment and write metrics.json, scores.json, images.csv, sheets/ and the report's inputs.

    The model and the curves are copied to the scores' folder, because a task's report reads only the folders of its
    own experiments' scores.
    """
    protocol, data, out = job.task_params.protocol(), job.inputs["data"] / "evaluate", job.outputs
    artifacts = {kind: artifact.load(job.inputs[kind]) for kind in ("network", "exported", "finetuned")}
    if not artifacts["network"].has_networks:
        del artifacts["network"]  # no network was trained: the stage train made tables
    models = {kind: Restorer(loaded) for kind, loaded in artifacts.items()}
    with tracking.stage_run(
        job.params.tracking,
        stage="evaluate",
        experiment=job.name,
        root=job.root,
        **logged.run_settings(job.params, job.name),
        live=False,
    ) as log:
        log.note(f"Protocol: {protocol.text}.")
        packed.verify(data, *(folder.name for folder in _folders(data)))
        with all_at_once():
            with whole_folder(out["sheets"]) as sheets:
                sets = {folder.name: PackedImages(folder) for folder in _folders(data)}
                drawn = {name: images.names[: job.block.evaluate.sheets] for name, images in sets.items()}
                draw = _Sheets(sheets, sheet_names(drawn), job.name, protocol)
                rows = {name: _score_set(name, images, models, draw) for name, images in sets.items()}
            task, size = job.task_params, artifacts["finetuned"].table_bytes
            result = Result(
                _summary(rows), job.block.family, task.task, task.options, protocol.measures, size, protocol.text
            )
            write_whole(out["images"], _csv(rows))
            write_whole(
                out["curves"], _curves({"train": job.inputs["train_curve"], "finetune": job.inputs["finetune_curve"]})
            )
            write_whole(out["model"], job.inputs["finetuned"].read_bytes())
            write_whole(out["scores"], _json({"table_kib": round(result.table_kib, 1), **result.final}))
            write_whole(out["metrics"], _json(result.to_json()))
        log.artifact(out["metrics"])
        log.artifact(out["images"])
        for image in sorted(out["sheets"].iterdir()):
            log.image(image, f"sheets/{image.name.removesuffix('.png')}")
        first = job.params.evaluations(job.task)[0].name
        log.model(
            job.inputs["finetuned"],
            logged.registered_name(task),
            logged.version_tags(result, first if first in rows else next(iter(rows))),
            logged.score_metrics(result) | (_speed(models["finetuned"]) if job.params.tracking.enabled else {}),
        )


def _json(content: object) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _speed(restorer: Restorer) -> dict[str, float]:
    """Return the milliseconds for a frame as a metric; logged to MLflow only, because they vary from run to run."""
    measured = speed.measure_speed({"it": restorer}, restorer.scale, rounds=2)
    return {"ms_per_1280x720_frame": round(measured.milliseconds["it"], 2)}


def _folders(data: Path) -> list[Path]:
    return sorted(path for path in data.iterdir() if path.is_dir())


def sheet_names(sets: Mapping[str, Sequence[str]]) -> dict[tuple[str, int], str]:
    """Return the names of the images' sheets, without ending, by set and place in it; all differ.

    A name is SET-IMAGE without the image's ending if that is unique even when upper and lower case are equal; otherwise
    with the ending, or with the place too.

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


@dataclass(frozen=True)
class _Sheets:
    """The folder of the comparison sheets, and the names of those to draw, by image set and place in it."""

    folder: Path
    names: Mapping[tuple[str, int], str]
    experiment: str
    protocol: Protocol

    def draw(self, name: str, number: int, scored: Scored) -> None:
        """Write the sheet of an image of a set if it gets one."""
        if (name, number) in self.names:
            write_whole(self.folder / f"{self.names[name, number]}.png", self._png(scored))

    def _png(self, scored: Scored) -> bytes:
        protocol = self.protocol
        kinds = {protocol.baseline_name: protocol.baseline_name, f"{self.experiment} (table)": "finetuned"}
        shown = Scored(
            scored.sample,
            {label: scored.restored[kind] for label, kind in kinds.items()},
            {label: scored.scores[kind] for label, kind in kinds.items()},
        )
        buffer = io.BytesIO()
        drawn = sheet(shown, protocol, title=protocol.titled(scored.sample.name))
        drawn.save(buffer, format="PNG")
        return buffer.getvalue()


def _score_set(
    name: str, images: PackedImages, models: Mapping[str, Restorer], sheets: _Sheets
) -> dict[str, KindScores]:
    """Return the scores of a set's images by name, and draw their sheets."""
    rows = {}
    for number, scored in enumerate(_score(images, models, sheets.protocol)):
        rows[scored.sample.name] = scored.scores
        sheets.draw(name, number, scored)
    return rows


def _score(images: PackedImages, models: Mapping[str, Restorer], protocol: Protocol) -> Iterator[Scored]:
    methods = {protocol.baseline_name: protocol.baseline} | {name: one.restore_planes for name, one in models.items()}
    for index, name in enumerate(images.names):
        sample = Sample(name, interleaved(images.input(index)), interleaved(images.target(index)))
        try:
            yield score(sample, methods, protocol)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _kinds(rows: dict[str, dict[str, KindScores]]) -> list[str]:
    return list(next(iter(next(iter(rows.values())).values())))


def _summary(rows: dict[str, dict[str, KindScores]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means over the images of each set: {kind: {set: {measure: mean}}}."""
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


def _csv(rows: dict[str, dict[str, KindScores]]) -> str:
    text = io.StringIO()
    first = next(iter(next(iter(rows.values())).values()))
    columns = [(kind, measure) for kind, values in first.items() for measure in values]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "image", *(f"{kind}_{measure}" for kind, measure in columns)])
    for name, images in rows.items():
        for image, scores in images.items():
            writer.writerow([name, image, *(f"{scores[kind][measure]:.6f}" for kind, measure in columns)])
    return text.getvalue()


def _curves(curves: Mapping[str, Path]) -> str:
    """Return the curves as one CSV, the stage in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "step", "loss", "val_psnr"])
    for stage, path in curves.items():
        with path.open(newline="") as file:
            writer.writerows([stage, *row.values()] for row in csv.DictReader(file))
    return text.getvalue()
