"""Models in MLflow: an evaluated model is logged as a pyfunc, registered, and compared with those before it.

A registered model is a task with its options, such as lutra-sr-x4; each different model file is a version of it.
The alias `best` marks the version with the best score.
"""

import io
import json
import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lutra

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

SERVED = Path(__file__).with_name("served.py")
BEST = "best"
MAX_PIXELS = 2**24  # in a served image; the result has scale**2 times as many
# the library is not among them: the one that serves a model must be the checkout's, which no index holds
_REQUIREMENTS = ("mlflow", "numpy", "pillow", "safetensors")


def register(client: "MlflowClient", experiment_id: str, run_id: str, model: Mapping[str, Any]) -> str:
    """Make a model a version of a registered model, or update the version that it is already, and move `best`.

    Args:
        client: MLflow's client; the caller holds `store.lock`, so that what it reads does not change.
        experiment_id: MLflow's experiment, where the model is logged.
        run_id: the run that evaluated the model.
        model: `path` and `sha256` of its file, `name` of the registered model, and `tags` of the version. They include
            `score`, `scored` (the kind of score: only equal kinds are compared) and `table_bytes`.

    Returns:
        The id of the logged model, for metrics.
    """
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    name, tags = str(model["name"]), {**model["tags"], "sha256": model["sha256"]}
    logged = next(iter(client.search_logged_models([experiment_id], f"tags.sha256 = '{model['sha256']}'")), None)
    if logged is None:
        logged = _log(client, experiment_id, run_id, Path(model["path"]), tags)
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    elif logged.source_run_id != run_id:
        client.log_inputs(run_id, models=[LoggedModelInput(logged.model_id)])
    versions = _versions(client, name)
    found = next((one for one in versions if one.tags.get("sha256") == model["sha256"]), None)
    if found is None:
        location = logged.artifact_location  # models:/ID would be looked up where MLflow's own settings point
        made = client.create_model_version(name, location, run_id, tags=tags, model_id=logged.model_id)
        shown = json.dumps([{"name": name, "version": made.version}])
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": shown})
    else:
        for key, value in tags.items():
            client.set_model_version_tag(name, found.version, key, value)
    if best := best_of(_versions(client, name), tags["scored"]):
        client.set_registered_model_alias(name, BEST, best.version)
    return str(logged.model_id)


def best_of(versions: "Sequence[ModelVersion]", scored: str) -> "ModelVersion | None":
    """Return the version with the best score of the kind `scored`, or None if there is none.

    Of equal scores the smallest model wins, then the oldest. An infinite score, which older versions gave to a set with
    an image restored exactly, ranks below all others: it hides how well the rest of the set was restored. Versions
    whose tags are incomplete do not compete: anybody may set a tag.
    """
    places = {_place(one): one for one in versions if one.tags.get("scored") == scored}
    known = [place for place in places if place is not None]
    return places[max(known)] if known else None


def _place(version: "ModelVersion") -> tuple[float, int, int] | None:
    try:
        score = float(version.tags["score"])
        return score if math.isfinite(score) else -math.inf, -int(version.tags["table_bytes"]), -int(version.version)
    except (KeyError, ValueError):
        return None


def save_pyfunc(folder: Path, model: Path, **fields: Any) -> None:
    """Write a model file as a pyfunc model to a new folder: `served.py`, the file, a signature and an example.

    Args:
        folder: the folder to make.
        model: the model file.
        fields: further fields of MLflow's description of the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own modules
        import pandas as pd
        from mlflow import pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, Schema

        columns = Schema([ColSpec("binary", "image")])
        pyfunc.save_model(
            folder,
            python_model=str(SERVED),
            artifacts={"model": str(model)},
            signature=ModelSignature(inputs=columns, outputs=columns),
            input_example=pd.DataFrame({"image": [_example()]}),
            pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
            model_config={"max_pixels": MAX_PIXELS, "threads": None},
            mlflow_model=Model(metadata={"lutra": lutra.__version__}, **fields),
        )


def _versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    """Return the versions of a registered model, which is created when missing."""
    if not client.search_registered_models(f"name = '{name}'"):
        description = f"Tables for {name.removeprefix('lutra-')}; `{BEST}` is the one with the best score."
        client.create_registered_model(name, description=description)
    return list(client.search_model_versions(f"name = '{name}'"))


def _log(
    client: "MlflowClient", experiment_id: str, run_id: str, model: Path, tags: Mapping[str, str]
) -> "LoggedModel":
    logged = client.create_logged_model(experiment_id, name=tags["experiment"], source_run_id=run_id)
    model_id = str(logged.model_id)
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            save_pyfunc(
                folder,
                model,
                run_id=run_id,
                model_id=model_id,
                model_uuid=model_id,
                artifact_path=logged.artifact_location,
            )
            client.log_model_artifacts(model_id, str(folder))
        status = "READY"
    finally:
        client.finalize_logged_model(model_id, status)
    client.set_logged_model_tags(model_id, dict(tags))  # from now on the hash finds it
    return logged


def _example() -> bytes:
    """Return a small PNG with gradients."""
    from PIL import Image

    file = io.BytesIO()
    Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn).resize((32, 24)) for turn in range(3)]).save(
        file, format="PNG"
    )
    return file.getvalue()
