"""What a result came from: parameters, code, data and versions, as recorded in every artifact."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lutra
from pipeline import stages
from pipeline.params import Params, set_name

PACKAGES = ("torch", "numpy", "accelerate", "safetensors")


def of_stage(name: str, params: Params, experiment: str, data: Path | None, *files: Path) -> dict[str, Any]:
    """The origin of one stage's result.

    Args:
        name: the stage.
        params: all parameters; those that the stage depends on are recorded.
        experiment: the experiment's name.
        data: the prepared folder, if the stage reads it.
        files: other inputs, recorded by their hash.

    Returns:
        JSON-ready: "inputs" holds everything the result depends on, "versions" what computed it.
    """
    stage = stages.find(name)
    inputs: dict[str, Any] = {
        "stage": name,
        "parameters": stage.resolved(params, experiment=experiment),
        "code": stages.content_hash(stage.modules)[:16],
        "files": {file.name: _hash(file) for file in files},
    }
    if data is not None:
        index = data / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index}: not found; run `python -m pipeline prepare` with this root first")
        inputs["data"] = {"train": set_name(params.data.train), "sha256": _hash(index)[:16]}
    versions = {"lutra": lutra.__version__} | {package: version(package) for package in PACKAGES}
    return {"experiment": experiment, "inputs": json.loads(json.dumps(inputs)), "versions": versions}


def _hash(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run the stage that writes it first")
    return hashlib.sha256(path.read_bytes()).hexdigest()
