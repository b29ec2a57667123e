"""The .lutra.json next to exported tables: all of a model that the published .npy files cannot hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.files import sha256_of, write_whole
from lutra.model.artifact import Artifact, fields_of, header_of
from lutra.model.fixedpoint import FIXED, with_fixed
from lutra.model.forms import expected_tensors
from lutra.model.published.arrays import DIRECTORY, load_array

FORMAT = 1
SUFFIX = ".lutra.json"


def sidecar_of(paths: Sequence[Path]) -> Path:
    """Return the sidecar's path of a model's tables: it is called as the first of them."""
    first = min(paths, key=lambda path: path.name)
    return first.with_name(first.stem + SUFFIX)


def write(artifact: Artifact, arrays: Mapping[Path, str]) -> None:
    """Write a model's sidecar.

    Args:
        artifact: the model.
        arrays: its tables' files, with the names of the arrays in them.
    """
    files = {path.name: {"array": array, "sha256": sha256_of(path)} for path, array in arrays.items()}
    content = {"format": FORMAT, "files": files, "model": header_of(artifact)}
    write_whole(sidecar_of(list(arrays)), json.dumps(content, indent=2, sort_keys=True) + "\n")


def read(
    paths: Sequence[Path], family: str, scale: int, published: Callable[[], Artifact] | None = None
) -> Artifact | None:
    """Read tables by their sidecar.

    Args:
        paths: the files of one model.
        family, scale: what the model is expected to be.
        published: reads the files without their sidecar; needed where a file is not one array of the model.

    Returns:
        The model that was exported, or None where there is no sidecar.

    Raises:
        ValueError: the sidecar is damaged, or describes other files or another model; names it.
        OSError: a file cannot be read.
    """
    path = sidecar_of(paths)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fields = _checked(content, paths, family, scale)
        tensors = published().tensors if published else _tensors_of(fields, content["files"], paths)
        return Artifact(**fields, tensors=tensors)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; without this file, the tables are read as published ones") from None


def _checked(content: Any, paths: Sequence[Path], family: str, scale: int) -> dict[str, Any]:
    """Return the fields of the model that a sidecar describes, after checking that the files are those it knows."""
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("files"), dict):
        raise ValueError(f"not a description of tables of format {FORMAT}")
    names = {path.name: path for path in paths}
    if set(names) != set(content["files"]):
        other = sorted(set(names) ^ set(content["files"]))[0]
        raise ValueError(f"{other!r} is among the files given or among those described, expected it in both")
    fields = fields_of(content.get("model"))
    description = fields["description"]
    if (description.family, description.scale) != (family, scale):
        raise ValueError(f"describes {description.family} x{description.scale}, expected {family} x{scale}")
    for name, entry in content["files"].items():
        if not isinstance(entry, dict) or entry.get("sha256") != sha256_of(names[name]):
            raise ValueError(f"{name!r} was changed since it was described")
    return fields


def _tensors_of(fields: dict[str, Any], files: dict[str, Any], paths: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """Return the model's arrays, each of them a file."""
    description, names = fields["description"], {path.name: path for path in paths}
    if {unit.name for _, unit in description.units()} != set(fields["functions"]):
        raise ValueError("its functions are not those of the description's units")
    expected = expected_tensors(description, fields["functions"])
    tensors: dict[str, NDArray[Any]] = {}
    for name, entry in files.items():
        array = entry.get("array")
        if array not in (*expected, DIRECTORY):
            raise ValueError(f"{name!r} holds {array!r}, expected an array of the model")
        if array != DIRECTORY:
            tensors |= _tensors(array, load_array(names[name]), *expected[array])
    return tensors


def _tensors(name: str, found: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Return an array in the artifact's form, and the fixed-point one that comes from it."""
    if found.size != math.prod(shape):
        raise ValueError(f"array {name!r} has shape {found.shape}, expected {shape}")
    array = np.asarray(found).reshape(shape).astype(dtype)
    if not np.array_equal(array, np.asarray(found).reshape(shape)):
        raise ValueError(f"array {name!r} holds other values than {dtype} can")
    return with_fixed(name, array) if name.rpartition(".")[2] in FIXED else {name: array}
