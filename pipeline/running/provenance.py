"""The origin of a result: parameters, code, data and versions, as recorded in every artifact."""

from __future__ import annotations

import hashlib
import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lutra
from lutra.files import sha256_of
from pipeline import PROJECT, declaration
from pipeline.params import Params, set_name

PACKAGES = ("torch", "numpy", "accelerate", "safetensors")


def of_stage(name: str, params: Params, experiment: str, data: Path | None, *files: Path) -> dict[str, Any]:
    """Return the origin of one stage's result.

    Args:
        name: the stage's name.
        params: all parameters, of which those that the stage depends on are recorded.
        experiment: the experiment's name.
        data: the prepared folder, if the stage reads it.
        files: other inputs, recorded by their hash.

    Returns:
        JSON-ready: "inputs" holds everything the result depends on, "versions" what computed it.
    """
    stage = declaration.find(name)
    inputs: dict[str, Any] = {
        "stage": name,
        "parameters": stage.resolved(params, experiment=experiment, task=params.experiment(experiment).task),
        "code": declaration.content_hash(stage.modules)[:16],
        "files": {file.name: _hash(file) for file in files},
    }
    if data is not None:
        index = data / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index}: not found; run `python -m pipeline prepare` with this root first")
        inputs["data"] = {"train": train_name(params, experiment), "sha256": _hash(index)[:16]}
    versions = {"lutra": lutra.__version__} | {package: version(package) for package in PACKAGES}
    return {"experiment": experiment, "inputs": json.loads(json.dumps(inputs)), "versions": versions}


def fingerprint_of(*parts: Any) -> str:
    """Return a short hash of JSON-ready data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def train_name(params: Params, experiment: str) -> str:
    """Return the name of the images that an experiment trains on, such as "photos + deadleaves"."""
    return " + ".join(set_name(name) for name in params.train_sets(params.experiment(experiment).task))


def commit() -> tuple[str, bool] | None:
    """Return the commit that is checked out and whether tracked files differ from it; None without git or a commit."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None


def _hash(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; run the stage that writes it first")
    return sha256_of(path)
