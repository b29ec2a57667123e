"""dvc.yaml, generated from the declaration of the stages: the same commands for `dvc repro`, into runs/dvc.

Every stage becomes a `foreach` group over the file of parameters, so that DVC picks up a new block without dvc.yaml
being written again. Only folders of images named under `data:` and models that trainings start from are spelled out.
The dvc.yaml of another file of parameters than params.yaml lies next to it, and writes into runs/dvc-NAME.
"""

import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from pipeline import PROJECT
from pipeline.declaration import STAGES, Stage

PARAMS = Path("params.yaml")
HEADER = "# Generated from pipeline/declaration.py by `python -m pipeline dvc-yaml`: change it there.\n\n"

_IGNORED = re.compile(r"__pycache__/|/\.[^/]*$|~$")
"""Names in .dvcignore that occur in folders of code."""
_FOREACH = {"task": "${tasks}", "experiment": "${experiments}"}
_AXES = {
    "curve": {"x": "step", "y": "val_psnr"},
    "points": {
        "x": "table_kib",
        "y": "psnr",
        "x_label": "table, KiB",
        "y_label": "PSNR, dB",
        "template": "scatter",
    },
}
_TARGET = {
    # `foreach` over a mapping names `key` and `item`
    "task": {"task": "${key}"},
    "experiment": {"experiment": "${key}", "task": "${item.task}"},
}


def text(folders: Sequence[str] = (), params: Path = PARAMS, starts: Sequence[str] = ()) -> str:
    """Return the content of dvc.yaml.

    Args:
        folders: the user's image folders that the prepare stage reads.
        starts: the files of models that trainings start from.
        params: file of parameters, relative to the project.
    """
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO(HEADER)
    buffer.seek(0, io.SEEK_END)
    read = {"prepare": folders, "train": starts}
    content: dict[str, Any] = {
        "stages": {stage.name: _entry(stage, read.get(stage.name, ()), params) for stage in STAGES}
    }
    yaml.dump(content if params == PARAMS else {"vars": [params.name], **content}, buffer)
    return buffer.getvalue()


def watched_models(starts: Iterable[Path], project: Path = PROJECT) -> list[str]:
    """Return the models that trainings start from, but for those that stages write; inside of the project relative."""
    here = project.absolute()
    places = {Path(os.path.abspath(here / path)) for path in starts}
    relative = (path.relative_to(here) if path.is_relative_to(here) else path for path in places)
    return sorted(path.as_posix() for path in relative if path.parts[0] != "runs")


def root(params: Path) -> str:
    """Return the folder that DVC's stages write into."""
    return "runs/dvc" if params == PARAMS else f"runs/dvc-{params.stem}"


def _entry(stage: Stage, read: Sequence[str], params: Path) -> dict[str, Any]:
    target, elsewhere, into = _TARGET[stage.per], params != PARAMS, root(params)
    quoted = {key: f"'{value}'" for key, value in target.items()}  # DVC puts names in as they are, before we check them
    outputs = [(f"{into}/{_path(output.path, target)}", output.kind) for output in stage.outputs.values()]
    option = f" --params {params.as_posix()}" if elsewhere else ""
    keys = [key.format(**target) for key in stage.parameters]
    entry: dict[str, Any] = {
        "desc": stage.summary,
        "cmd": "python -m pipeline " + stage.command.format(root=into, **quoted) + option,
        "wdir": "/".join([".."] * len(params.parent.parts)),
        "deps": _deps(stage, target, read, into),
        "params": [{params.as_posix(): keys}] if elsewhere else keys,
        "outs": [path for path, kind in outputs if kind in ("file", "folder")],
        "metrics": [path for path, kind in outputs if kind == "metrics"],
        "plots": [{path: dict(_AXES[kind])} for path, kind in outputs if kind in _AXES],
    }
    entry = {key: value for key, value in entry.items() if value}
    return {"foreach": _FOREACH[stage.per], "do": entry}


def _deps(stage: Stage, target: dict[str, str], read: Sequence[str], into: str) -> list[str]:
    inputs = (f"{into}/{_path(path, target)}" for path in stage.inputs.values())
    return [*sorted(set(inputs)), *read, *gathered(stage.modules, PROJECT)]


def gathered(files: Iterable[str], project: Path) -> list[str]:
    """Return files of the project, sorted, with a folder in place of its files where it holds nothing else.

    DVC reads and writes a record of every dependency several times a stage, and takes most of its time for that.
    """
    found = set(files)
    folders = {folder for file in found for folder in PurePosixPath(file).parents} - {PurePosixPath()}
    for folder in sorted(folders):  # the outer ones first
        names = (path.relative_to(project).as_posix() for path in (project / folder).rglob("*") if path.is_file())
        inside = {name for name in names if not _IGNORED.search(name)}
        if len(inside) > 1 and inside <= found:
            found = found - inside | {str(folder)}
    return sorted(found)


def _path(path: str, target: dict[str, str]) -> str:
    if "experiment" not in target and "{experiment}" in path:
        # What every experiment wrote: the folder above, which DVC traces to the stages that write into it
        path = path.partition("/{experiment}")[0]
    return path.format(**target)
