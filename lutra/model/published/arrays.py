"""Find the published files of a model's arrays: those that its provenance records, or those usual in its family."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model.artifact import Artifact
from lutra.model.description import SampledTaps
from lutra.model.forms import expected_tensors
from lutra.model.layouts import DenseLayout, DiagonalLayout

DIRECTORY = "directory"
"""The name of DFC's directory in the record; it is no array of the model."""
PARTS = {"compress1": "diagonal", "compress2": "coarse", "sampler": "sampler", "residual": "adarl", None: "dense"}
"""The parts of a unit in the artifact, by what the files' names end in."""
_DTYPES = ("|i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")


@dataclass(frozen=True)
class Stored:
    """A published file: its name, the artifact's array in it (or `DIRECTORY`), its shape and NumPy's type of it."""

    file: str
    array: str
    shape: tuple[int, ...]
    dtype: str


def files_in(paths: Iterable[Path]) -> list[Path]:
    """Return files, and those of tables in the folders among them, but for a sidecar."""
    found = []
    for path in paths:
        inside = path.iterdir() if path.is_dir() else [path]
        kinds = (".npy", ".npz", ".json") if path.is_dir() else (path.suffix,)
        found += [one for one in inside if one.suffix in kinds and not one.name.endswith(".lutra.json")]
    return found


def load_array(path: Path) -> NDArray[Any]:
    """Open a .npy file of one array of numbers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not a readable .npy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim < 1 or array.dtype.kind not in "if":
        raise ValueError(f"{path}: expected one array of numbers")
    return array


def stored_arrays(artifact: Artifact) -> list[Stored]:
    """Return the files of a model of tables, every array of its own in one of them.

    Raises:
        ValueError: its provenance records other files than its arrays fill; names the file or the array.
    """
    recorded = artifact.provenance.get("published")
    files = _recorded(recorded) if recorded else _conventional(artifact)
    sizes = {name: math.prod(shape) for name, (_, shape) in _own(artifact).items()}
    if any(isinstance(layout, DiagonalLayout) for layout in artifact.functions.values()):
        sizes[DIRECTORY] = -1  # its own shape decides
    seen: set[str] = set()
    for file in files:
        if Path(file.file).name != file.file or not file.file.endswith(".npy") or not file.file.isprintable():
            raise ValueError(f"the model names the file {file.file!r}, expected a plain .npy name")
        if file.array not in sizes or file.array in seen:
            raise ValueError(f"the model names the array {file.array!r} for {file.file}, expected each of its own once")
        if sizes[file.array] not in (-1, math.prod(file.shape)):
            raise ValueError(f"the model gives {file.file} the shape {file.shape}, which {file.array} does not have")
        seen.add(file.array)
    missing = sorted(sizes.keys() - seen - {DIRECTORY})
    if missing or len({file.file for file in files}) < len(files):
        raise ValueError(f"the model names no file of its own for the array {(missing or [files[-1].array])[0]!r}")
    return files


def _own(artifact: Artifact) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of the arrays that are written; those in fixed point come from the others."""
    expected = expected_tensors(artifact.description, artifact.functions)
    return {name: form for name, form in expected.items() if not name.endswith("_fixed")}


def _recorded(recorded: Any) -> list[Stored]:
    if not isinstance(recorded, dict):
        raise ValueError(f"the model's published files are {type(recorded).__name__}, expected an object")
    files = []
    for name, entry in recorded.items():
        entry = entry if isinstance(entry, dict) else {}
        array, shape, dtype = (entry.get(key) for key in ("array", "shape", "dtype"))
        whole = isinstance(shape, list) and len(shape) <= 8 and all(type(side) is int and side > 0 for side in shape)
        if not isinstance(array, str) or not whole or not isinstance(dtype, str) or dtype not in _DTYPES:
            found = str({"array": array, "shape": shape, "dtype": dtype})[:200]
            raise ValueError(f"the model records {found} for {name!r}, expected array, shape and type of numbers")
        assert isinstance(shape, list)
        files.append(Stored(name, array, tuple(shape), dtype))
    return files


def _conventional(artifact: Artifact) -> list[Stored]:
    """Return names and shapes for a model that was not imported."""
    scale, family = artifact.description.scale, artifact.description.family
    part_names = {part: name for name, part in PARTS.items() if name}
    files = []
    for _, unit in artifact.description.units():
        layout = artifact.functions[unit.name]
        assert isinstance(layout, (DenseLayout, DiagonalLayout))
        prefix = "lut" if family == "spflut" else f"LUT_x{scale}_{layout.interval}bit_int8"
        for tensor in (name for name in artifact.tensors if name.rpartition(".")[0] == unit.name):
            part = tensor.rpartition(".")[2]
            if part.endswith("_fixed"):
                continue
            suffix = f"_{part_names[part]}" if part in part_names else ""
            name = f"{prefix}_{unit.name}{suffix}.npy"
            if family == "srlut":
                name = f"Model_{unit.name[-1:].upper()}_x{scale}_{layout.interval}bit_int8.npy"
            array = artifact.tensors[tensor]
            shape = array.shape
            if part == "sampler" and isinstance(unit.taps, SampledTaps):
                shape = (4, 1, unit.taps.kernel, unit.taps.kernel)
            if part == "adarl":
                shape = (2, 2)
            files.append(Stored(name, tensor, shape, array.dtype.str))
    return files
