"""dvc.yaml, generated from the declaration of the stages: the same commands for `dvc repro`, into runs/dvc.

Every stage becomes a `foreach` group over params.yaml, so that DVC picks
up a new block without this file being written again. Only folders of images named under `data:` are spelled out.
"""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from pipeline import PROJECT
from pipeline.declaration import STAGES, Stage

ROOT = "runs/dvc"
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


def text(folders: Sequence[str] = ()) -> str:
    """Return the content of dvc.yaml; `folders` are the user's image folders that the prepare stage reads."""
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO(HEADER)
    buffer.seek(0, io.SEEK_END)
    yaml.dump({"stages": {stage.name: _entry(stage, folders) for stage in STAGES}}, buffer)
    return buffer.getvalue()


def _entry(stage: Stage, folders: Sequence[str]) -> dict[str, Any]:
    target = _TARGET[stage.per]
    quoted = {key: f"'{value}'" for key, value in target.items()}  # DVC puts names in as they are, before we check them
    outputs = [(_path(output.path, target), output.kind) for output in stage.outputs.values()]
    entry: dict[str, Any] = {
        "desc": stage.summary,
        "cmd": "python -m pipeline " + stage.command.format(root=ROOT, **quoted),
        "deps": _deps(stage, target, folders),
        "params": [key.format(**target) for key in stage.parameters],
        "outs": [path for path, kind in outputs if kind in ("file", "folder")],
        "metrics": [path for path, kind in outputs if kind == "metrics"],
        "plots": [{path: dict(_AXES[kind])} for path, kind in outputs if kind in _AXES],
    }
    entry = {key: value for key, value in entry.items() if value}
    return {"foreach": _FOREACH[stage.per], "do": entry}


def _deps(stage: Stage, target: dict[str, str], folders: Sequence[str]) -> list[str]:
    sources = folders if stage.name == "prepare" else ()
    inputs = (_path(path, target) for path in stage.inputs.values())
    return [*sorted(set(inputs)), *sources, *gathered(stage.modules, PROJECT)]


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
    return f"{ROOT}/{path.format(**target)}"
