"""Stage report: one page, one Markdown table and one picture over the experiments of a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lutra.evaluation.protocols import Protocol
from lutra.files import all_at_once, write_whole
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.restore.restorer import Restorer
from pipeline import tracking
from pipeline.declaration import REPORT
from pipeline.params import Experiment, Params
from pipeline.reporting import charts, page, papers, speed
from pipeline.reporting.page import Made
from pipeline.reporting.pictures import BUDGET, pictures
from pipeline.reporting.results import Result
from pipeline.reporting.rows import Shown
from pipeline.running.job import Job


def run(job: Job, experiments: list[str] | None = None) -> None:
    """Write report/TASK/report.html, report.md, comparison.png and points.csv: the stage.

    The same inputs give the same bytes, so the page holds no times and no date; `together` measures them.

    Args:
        job: a run for the task; scores of other tasks cannot be compared with its scores.
        experiments: names to report; None for every experiment of the task.
    """
    params, protocol, out = job.params, job.task_params.protocol(), job.outputs
    names = experiments or [name for name, block in params.experiments.items() if block.task == job.task]
    for name in names:
        if params.experiment(name).task != job.task:
            raise ValueError(f"experiments.{name}.task: found {params.experiment(name).task}, expected {job.task}")
    results = {name: Result.read(_evaluated(params, job.root, name)["metrics"]) for name in names}
    with tracking.stage_run(
        params.tracking, stage="report", experiment=job.task, root=job.root, params={"experiments": " ".join(names)}
    ) as log:
        with all_at_once():
            write_whole(out["table"], markdown(results, protocol))
            write_whole(out["picture"], charts.gains(results, protocol, _sets(results)))
            write_whole(out["page"], page.html([_section(params, job.root, job.task, results)]))
            write_whole(out["points"], points(results, protocol))
        for name in ("page", "table", "picture"):
            log.artifact(out[name])


def together(params: Params, root: Path, experiments: list[str] | None = None) -> Path:
    """Write report/report.html, one page over all tasks with times, date and machine, and return its path.

    Args:
        params: all parameters.
        root: where the stages wrote.
        experiments: names to report; None for every experiment that was evaluated.
    """
    results: dict[str, dict[str, Result]] = {}
    for name in experiments or params.experiments:
        path = _evaluated(params, root, name)["metrics"]
        if experiments or path.is_file():
            results.setdefault(params.experiment(name).task, {})[name] = Result.read(path)
    if not results:
        raise FileNotFoundError(
            f"{root}/evaluate: found no scores of any experiment; evaluate one with this root first"
        )
    budget = BUDGET // len(results)
    sections = [_section(params, root, task, found, budget, timed=True) for task, found in results.items()]
    path = root / REPORT
    write_whole(path, page.html(sections, Made.now()))
    return path


def _evaluated(params: Params, root: Path, experiment: str) -> Mapping[str, Path]:
    """Return the files that evaluate wrote for an experiment."""
    return Job.of("evaluate", params, root, experiment=experiment).outputs


def markdown(results: Mapping[str, Result], protocol: Protocol) -> str:
    """Return the Markdown table: a row for each experiment and kind, a column for each image set."""
    sets = _sets(results)
    lines = ["| experiment | kind | table KiB | " + " | ".join(sets) + " |"]
    lines.append("|---|---|---:|" + "---|" * len(sets))
    for experiment, result in results.items():
        for kind, scores in result.scores.items():
            size = f"{result.table_kib:.1f}" if kind in ("exported", "finetuned") else ""
            cells = [protocol.caption(scores[name]) if name in scores else "" for name in sets]
            lines.append(f"| {experiment} | {kind} | {size} | " + " | ".join(cells) + " |")
    protocols = sorted({result.protocol for result in results.values()})
    return "\n".join([f"{protocol.legend}.", "", *lines, "", *(f"Protocol: {text}." for text in protocols)]) + "\n"


def _section(
    params: Params,
    root: Path,
    task: str,
    results: Mapping[str, Result],
    budget: int = BUDGET,
    *,
    timed: bool = False,
) -> page.TaskSection:
    """Return the page's content for a task; `budget`: characters of pictures; `timed`: with the models' speed."""
    protocol = params.task(task).protocol()
    evaluated = {name: _evaluated(params, root, name) for name in results}
    artifacts = {name: artifact.load(_found(files["model"])) for name, files in evaluated.items()}
    models = {name: Restorer(model) for name, model in artifacts.items()}
    shown = [
        Shown(
            name,
            result,
            page.read_curves(_found(evaluated[name]["curves"])),
            settings_in_words(params.experiment(name), artifacts[name]),
            artifacts[name].provenance.get("versions", {}),
        )
        for name, result in results.items()
    ]
    data = Job.of("report", params, root, task=task).inputs["data"]
    return page.TaskSection(
        task,
        protocol,
        shown,
        papers.comparable(protocol, _sets(results)),
        speed.measure_speed(models, protocol.whole_scale) if timed else None,
        pictures(data / "evaluate", models, protocol, budget),
    )


def settings_in_words(block: Experiment, model: Artifact) -> dict[str, str]:
    """Return how an experiment was trained, in words."""
    options = block.model.model_dump(exclude_none=True)
    dfc, train, finetune = block.table.dfc, block.train, block.finetune
    layout = f"every {2**block.table.interval} levels"
    if dfc is not None:
        layout = f"DFC {dfc.dimensions}: {layout} near the diagonal, every {2**dfc.interval} elsewhere"
    steps = f", {train.steps:,} steps of {train.batch}" if train.steps else ""
    trained = "tables" if train.makes_tables else f"network of width {block.network.width}"
    return {
        "model": ", ".join(f"{key} {value}" for key, value in options.items()) or "as published",
        "tables": layout,
        "trained on": str(model.provenance.get("inputs", {}).get("data", {}).get("train", "")),
        "start": f"{trained} from {train.init.replace('_', ' ')}{steps}",
        "finetuning": f"{finetune.steps:,} steps of {finetune.batch} patches" if finetune.steps else "none",
    }


def points(results: Mapping[str, Result], protocol: Protocol) -> str:
    """Return CSV of what an experiment's finetuned tables take, in KiB, and reach on each set: the main measure, dB."""
    lines = ["experiment,set,table_kib,psnr"]
    for experiment, result in results.items():
        for name, found in sorted(result.final.items()):
            lines.append(f"{experiment},{name},{result.table_kib:.1f},{found[protocol.main]:.4f}")
    return "\n".join(lines) + "\n"


def _sets(results: Mapping[str, Result]) -> list[str]:
    return sorted({name for result in results.values() for name in result.baseline})


def _found(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run `python -m pipeline evaluate` with this root first")
    return path
