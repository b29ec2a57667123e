"""Read and write LeRF's published files: an int8 .npy of (entries, values) for each table.

They are called LUTft_s1_sr0.npy (step 1, pattern s), and LUTft_s2_sr0.npy and LUTft_s2_sr1.npy for the tables of step 2
that are applied at 0 and 180, and at 90 and 270 degrees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lutra.files import write_whole
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import PATTERNS
from lutra.model.layouts import DenseLayout
from lutra.model.published.arrays import load_array

_NAME = re.compile(r"LUTft_s[12]_(?P<pattern>[a-z])r[01]\.npy")


def read(paths: Sequence[Path], scale: int) -> Artifact:
    """Read published tables of LeRF.

    Args:
        paths: the files.
        scale: the factor of calls that ask for no size.

    Raises:
        ValueError: a file is surplus, missing or damaged, or holds another shape; names the file.
        OSError: a file cannot be read.
    """
    files = {path.name: path for path in paths}
    matches = [_NAME.fullmatch(name) for name in files]
    found = {match["pattern"] for match in matches if match}
    patterns = "".join(name for name in PATTERNS if name in found) or "sct"
    options = {"patterns": patterns, "border": "zero"}
    description = families.describe("lerf", scale, options)
    expected = {_file(unit.name): unit for _, unit in description.units()}
    for name in sorted(files.keys() - expected.keys()):
        raise ValueError(f"{files[name]}: its name is not that of a published lerf table")
    for name in sorted(expected.keys() - files.keys()):
        raise ValueError(f"no file {name} among the files given")
    tensors: dict[str, NDArray[np.int8]] = {}
    layouts: dict[str, DenseLayout] = {}
    for name, unit in expected.items():
        array = load_array(files[name])
        layout = next((one for one in map(DenseLayout, range(3, 9)) if one.entries == len(array)), None)
        if layout is None or array.dtype != np.int8 or array.shape[1:] != (unit.values,):
            wanted = f"int8 of L^4 entries of {unit.values} values, L = 2^(8 - k) + 1, k = 3..8"
            raise ValueError(f"{files[name]}: {array.dtype} of shape {array.shape}, expected {wanted}")
        layouts[unit.name] = layout
        tensors[f"{unit.name}.dense"] = np.array(array)
    return Artifact(description, layouts, tensors, provenance={"published": sorted(files)})


def write(artifact: Artifact, folder: Path) -> tuple[Artifact, dict[Path, str]]:
    """Write a model in LeRF's files.

    Returns:
        The model, and what each file that was written holds.

    Raises:
        ValueError: the model's steps are not those of LeRF, or a table is not stored whole.
        OSError: a file cannot be written.
    """
    description = artifact.description
    if families.describe("lerf", description.scale, description.options).steps != description.steps:
        raise ValueError("the model's steps are not those of LeRF, which its files describe")
    written: dict[Path, str] = {}
    for _, unit in description.units():
        name = f"{unit.name}.dense"
        if name not in artifact.tensors:
            raise ValueError(f"table '{unit.name}' is compressed, and LeRF's files hold whole ones")
        path, array = folder / _file(unit.name), artifact.tensors[name]
        write_whole(path, lambda out, array=array: np.save(out, array))  # type: ignore[misc]
        written[path] = name
    return artifact, written


def _file(unit: str) -> str:
    """Return the file of a unit: s1_s or s2_s1."""
    step, own = unit.split("_")
    return f"LUTft_{step}_{own[0]}r{own[1:] or '0'}.npy"
