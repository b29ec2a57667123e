"""Read and write HKLUT's published files: an int8 .npy of (entries, 1, r, r) for each table.

They are called S0_MSB_HDB_LUT_H_x2_4bit_int8.npy (stage 0, high bits, pattern H, factor of the stage), and
S0_LSB_HD_LUT_H_x2_4bit_int8.npy for low bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lutra.files import write_whole
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import DirectTable, Residual
from lutra.model.published.arrays import load_array
from lutra.model.vectors import Direct

_BITS = {"high": "MSB_HDB", "low": "LSB_HD"}


def read(paths: Sequence[Path], scale: int) -> Artifact:
    """Read published tables of HKLUT.

    Raises:
        ValueError: a file is surplus, missing or damaged, or holds another shape; names the file.
        OSError: a file cannot be read.
    """
    description = families.describe("hklut", scale)
    files = {path.name: path for path in paths}
    expected = {_file(step, table): (step, table) for step, table in description.direct_tables()}
    for name in sorted(files.keys() - expected.keys()):
        raise ValueError(f"{files[name]}: its name is not that of a published hklut table of scale {scale}")
    for name in sorted(expected.keys() - files.keys()):
        raise ValueError(f"no file {name} among the files given")
    tensors: dict[str, NDArray[np.int8]] = {}
    for name, (step, table) in expected.items():
        array, shape = load_array(files[name]), (step.entries(table), 1, step.upscale, step.upscale)
        if array.dtype != np.int8 or array.shape != shape:
            raise ValueError(f"{files[name]}: {array.dtype} of shape {array.shape}, expected int8 {shape}")
        tensors[f"{table.name}.direct"] = np.array(array).reshape(shape[0], -1)
    functions = {table.name: Direct() for _, table in expected.values()}
    return Artifact(description, functions, tensors, provenance={"published": sorted(files)})


def write(artifact: Artifact, folder: Path) -> tuple[Artifact, dict[Path, str]]:
    """Write a model in HKLUT's files.

    Returns:
        The model, and what each file that was written holds.

    Raises:
        ValueError: the model's steps are not those of HKLUT.
        OSError: a file cannot be written.
    """
    description = artifact.description
    if families.describe("hklut", description.scale).steps != description.steps:
        raise ValueError("the model's steps are not those of HKLUT, which its files describe")
    written: dict[Path, str] = {}
    for step, table in description.direct_tables():
        path, name = folder / _file(step, table), f"{table.name}.direct"
        array = artifact.tensors[name].reshape(-1, 1, step.upscale, step.upscale)
        write_whole(path, lambda out, array=array: np.save(out, array))  # type: ignore[misc]
        written[path] = name
    return artifact, written


def _file(step: Residual, table: DirectTable) -> str:
    stage, bits, pattern = table.name.upper().split("_")
    return f"{stage}_{_BITS[bits.lower()]}_LUT_{pattern}_x{step.upscale}_{step.low_bits}bit_int8.npy"
