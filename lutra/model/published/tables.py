"""Read and write the published .npy tables. Names and shapes of files tell the units; a sidecar tells the rest.

A table's file is called PREFIX_UNIT[_PART].npy; units are called as in our descriptions:

| family | units | shape of a table |
|---|---|---|
| srlut | Model_S_x4_4bit_int8.npy, one file | (L^4, 1, r, r) |
| mulut | s1_s, s1_d, ... (stage, pattern) | (L^4, 1, r, r) or (L^4, r * r) |
| spflut | s1c0_s ... s4c0_y (group, pattern), s5_channel, s6c0_s ... s6c3_y | (L^4, values) |
| autolut | s0_0, s0_1, ... (stage, branch), or spflut's with branches for patterns | (L^4, 1, r, r) |

Parts: compress1 (diagonal) and compress2 (coarse) of a table with DFC; sampler (4, 1, k, k) before its softmax and
residual (2, 2) of AutoLUT. `ref2index_xyzt2i5.npy` is DFC's directory of the diagonal part.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from lutra.files import write_whole
from lutra.model import families
from lutra.model.artifact import Artifact, layout_for, split_table
from lutra.model.description import PATTERNS, TAP_BITS, Description, SampledTaps
from lutra.model.fixedpoint import with_fixed
from lutra.model.layouts import DenseLayout, DiagonalLayout, Dimensions, Layout
from lutra.model.published import hkfiles, lerffiles, shiftfiles, sidecar, tinyfiles
from lutra.model.published.arrays import DIRECTORY, PARTS, Stored, files_in, load_array, stored_arrays

Array = NDArray[Any]
_SRLUT = re.compile(r"Model_(?P<pattern>[A-Z])_x\d+_\d+bit_int8\.npy")
_UNIT = re.compile(
    r"(?:.*_)?(?P<stage>s\d+)_?(?P<plane>c\d+)?_(?P<branch>channel|[a-z]|\d+)"
    r"(?:_(?P<part>compress1|compress2|sampler|residual))?\.npy"
)
_DIRECTORY = re.compile(r"ref2index_(?P<dimensions>[xyzt]+)(?P<width>\d+)i(?P<coarse>\d+)\.npy")


OWN_FILES = {"shiftlut": shiftfiles, "tinylut": tinyfiles, "hklut": hkfiles, "lerf": lerffiles}
"""The modules of the families that have files of their own form, which read and write them."""

sidecar_of = sidecar.sidecar_of


@dataclass(frozen=True)
class _File:
    path: Path
    unit: str
    part: str
    array: Array


def read_tables(paths: Iterable[Path], family: str, scale: int) -> Artifact:
    """Read published tables as a model that keeps its publication's padding and rounding.

    Tables that `write_tables` wrote are read as the model they came from, by the sidecar next to them.

    Args:
        paths: the files of one model, in any order, or folders that hold them and nothing else in .npy, .npz or .json.
        family: a key of `families.FAMILIES`.
        scale: upscaling factor.

    Raises:
        ValueError: a file is surplus, missing or damaged, or has the wrong name, shape or values; names the file.
        OSError: a file cannot be read.
    """
    paths = sorted(files_in(paths))
    if family in OWN_FILES:
        published = partial(OWN_FILES[family].read, paths, scale)
        return (sidecar.read(paths, family, scale, published) if paths else None) or published()
    if paths and (exported := sidecar.read(paths, family, scale)):
        return exported
    files, directories = _read(paths, family)
    layout = _layout(files, directories)
    description = _describe(files, family, scale, isinstance(layout, DiagonalLayout))
    _check_complete(files, description, layout)
    functions: dict[str, Layout] = {}
    tensors: dict[str, Array] = {}
    for _, unit in description.units():
        own = {file.part: file for file in files if file.unit == unit.name}
        functions[unit.name] = layout_for(unit, layout)
        tables = [_table(own[part], entries, unit.values) for part, entries in functions[unit.name].parts]
        tensors |= split_table(unit.name, functions[unit.name], np.concatenate(tables))
        if isinstance(unit.taps, SampledTaps):
            logits = _real(own["sampler"], (4, 1, unit.taps.kernel, unit.taps.kernel)).reshape(4, -1)
            tensors |= with_fixed(f"{unit.name}.sampler", logits)
        if unit.previous:
            mix = _real(own["adarl"], (2, 2)).reshape(4)
            tensors |= with_fixed(f"{unit.name}.adarl", mix)
    record = {file.path.name: _record(f"{file.unit}.{file.part}", file.array) for file in files}
    record |= {path.name: _record(DIRECTORY, array) for path, array in directories.items()}
    return Artifact(description, functions, tensors, provenance={"published": record})


def write_tables(artifact: Artifact, folder: Path) -> list[Path]:
    """Write an artifact's tables as published; an imported model's files come back byte for byte.

    A sidecar (`sidecar_of`) next to them holds what they do not: padding, rounding, task, options, provenance.

    Args:
        artifact: a model of tables.
        folder: where to write; made when missing.

    Returns:
        The tables' files.

    Raises:
        ValueError: a unit is a network, or the model's provenance records files that its arrays do not fit.
        OSError: a file cannot be written.
    """
    if not artifact.is_tables:
        raise ValueError("the model is a network: export its tables first")
    if artifact.description.family in OWN_FILES:
        stored, holds = OWN_FILES[artifact.description.family].write(artifact, folder)
        sidecar.write(stored, holds)
        return list(holds)
    if not artifact.description.has_units:
        raise ValueError(f"tables of family '{artifact.description.family}' have no published form")
    written: dict[Path, str] = {}
    for file in stored_arrays(artifact):
        array = _stored(artifact, file)
        write_whole(folder / file.file, lambda out, array=array: np.save(out, array))  # type: ignore[misc]
        written[folder / file.file] = file.array
    sidecar.write(artifact, written)
    return list(written)


def _stored(artifact: Artifact, file: Stored) -> Array:
    """Return a file's array; raises ValueError where the file's type cannot hold it."""
    if file.array == DIRECTORY:
        layout = next(item for item in artifact.functions.values() if isinstance(item, DiagonalLayout))
        own = directory(layout)
        if own.size != math.prod(file.shape):
            raise ValueError(f"the model gives {file.file} the shape {file.shape}, expected {own.shape}")
    else:
        own = artifact.tensors[file.array]
    own = own.reshape(file.shape)
    array = own.astype(file.dtype)
    if not np.array_equal(array, own):
        raise ValueError(f"the model gives {file.file} the type {file.dtype}, which cannot hold {file.array}")
    return array


def _read(paths: Iterable[Path], family: str) -> tuple[list[_File], dict[Path, Array]]:
    files: list[_File] = []
    directories: dict[Path, Array] = {}
    for path in sorted(paths):
        array = load_array(path)
        match = _SRLUT.fullmatch(path.name) if family == "srlut" else _UNIT.fullmatch(path.name)
        if _DIRECTORY.fullmatch(path.name):
            directories[path] = array
        elif match is None:
            raise ValueError(f"{path}: its name is not that of a published {family} table")
        elif family == "srlut":
            files.append(_File(path, f"s1_{match['pattern'].lower()}", "dense", array))
        else:
            name = f"{match['stage']}{match['plane'] or ''}_{match['branch']}"
            files.append(_File(path, name, PARTS[match["part"]], array))
    for one, two in itertools.pairwise(sorted(files, key=lambda file: (file.unit, file.part))):
        if (one.unit, one.part) == (two.unit, two.part):
            raise ValueError(f"{two.path}: the same table as {one.path}")
    if not files:
        raise ValueError("no table among the files given")
    return files, directories


def _layout(files: list[_File], directories: Mapping[Path, Array]) -> Layout:
    """Return the layout that all tables share, from their numbers of entries and DFC's directory."""
    diagonal = next((file for file in files if file.part == "diagonal"), None)
    coarse = next((file for file in files if file.part == "coarse"), None)
    if diagonal is None or coarse is None:
        if directories:
            raise ValueError(f"{next(iter(directories))}: a directory of DFC, but no tables with DFC among the files")
        dense = next((file for file in files if file.part == "dense"), None)
        if dense is None:
            raise ValueError(f"{files[0].path}: no table comes with it")
        return DenseLayout(_interval(dense))
    known = [_interval(file) for file in files if file.part == "dense"]
    found = [
        layout
        for fine in known[:1] or (4, *range(3, _interval(coarse)))  # 4 bits is what is published
        for dimensions in get_args(Dimensions)
        for width in range(1, 1 << (8 - fine))
        if (layout := DiagonalLayout(fine, width, _interval(coarse), dimensions)).diagonal_entries
        == len(diagonal.array)
    ]
    if not found:
        raise ValueError(f"{diagonal.path}: {len(diagonal.array)} entries are those of no diagonal")
    layout = found[0]
    for path, array in directories.items():
        _check_directory(path, array, layout)
    return layout


def _interval(file: _File) -> int:
    for bits in range(3, 9):
        if DenseLayout(bits).entries == len(file.array):
            return bits
    raise ValueError(f"{file.path}: {len(file.array)} entries, expected L^4 with L = 2^(8 - k) + 1, k = 3..8")


def directory(layout: DiagonalLayout) -> NDArray[np.int64]:
    """Return DFC's published directory: entries of the diagonal part by [a, b - a, c - a, d - a], negative wrapped."""
    side, reach = (1 << (8 - layout.interval)) + 1, 2 * layout.width + 1
    axes = layout.bound_axes
    found = np.full((side,) + (reach,) * axes, -1, dtype=np.int64)
    nodes = layout.nodes()[: layout.diagonal_entries : side ** (3 - axes)] >> layout.interval
    index = (nodes[:, 0], *(nodes[:, 1 : 1 + axes] - nodes[:, :1]).T)
    found[index] = np.arange(len(nodes))
    return found


def _check_directory(path: Path, array: Array, layout: DiagonalLayout) -> None:
    match = _DIRECTORY.fullmatch(path.name)
    assert match is not None
    named = (match["dimensions"], int(match["width"]), int(match["coarse"]))
    if named != (layout.dimensions, layout.width, layout.coarse):
        own = f"{layout.dimensions}{layout.width}i{layout.coarse}"
        raise ValueError(f"{path}: a directory of another layout; the tables' is ref2index_{own}.npy")
    if not np.array_equal(array, directory(layout)):
        raise ValueError(f"{path}: its entries are not those of the layout that its name gives")


def _describe(files: list[_File], family: str, scale: int, diagonal: bool) -> Description:
    """Return the description with the units that the files name, and the publication's padding and rounding."""
    branches = {file.unit.split("_")[1] for file in files} - {"channel"}
    spf = any("c" in file.unit.split("_")[0] for file in files)
    options: dict[str, Any] = {}
    if family in ("mulut", "spflut"):
        options["patterns"] = "".join(name for name in PATTERNS if name in branches)
    if family == "mulut":
        options["stages"] = len({file.unit.split("_")[0] for file in files})
    if family == "srlut":
        options["pattern"] = branches.pop()
    if family == "autolut":
        options = {"base": "spflut" if spf else "mulut", "branches": len(branches)}
        options["stages"] = None if spf else len({file.unit.split("_")[0] for file in files})
        options["kernel"] = next((file.array.shape[-1] for file in files if file.part == "sampler"), None)
    description = families.describe(family, scale, options)
    if family == "srlut":
        return replace(description, padding="reflect")
    if family == "autolut":
        return replace(description, tap_bits=TAP_BITS)
    if family == "mulut" and diagonal:  # published with SPF-LUT; its scripts round per lookup
        return replace(description, rounding="lookup")
    return description


def _check_complete(files: list[_File], description: Description, layout: Layout) -> None:
    expected = set()
    for _, unit in description.units():
        own = layout_for(unit, layout)
        expected |= {(unit.name, part) for part, _ in own.parts}
        expected |= {(unit.name, "sampler")} if isinstance(unit.taps, SampledTaps) else set()
        expected |= {(unit.name, "adarl")} if unit.previous else set()
    for file in files:
        if (file.unit, file.part) not in expected:
            raise ValueError(f"{file.path}: not part of {description.family} with options {description.options}")
    missing = sorted(expected - {(file.unit, file.part) for file in files})
    if missing:
        name, part = missing[0]
        raise ValueError(f"no file for the {part} part of unit {name}, of {len(missing)} missing")


def _table(file: _File, entries: int, values: int) -> NDArray[np.int8]:
    if file.array.size != entries * values or len(file.array) != entries:
        raise ValueError(f"{file.path}: shape {file.array.shape}, expected {entries} entries of {values} values")
    array = np.asarray(file.array).reshape(entries, values)
    if (array != np.rint(array)).any() or array.min() < -128 or array.max() > 127:
        raise ValueError(f"{file.path}: values in {array.min()}..{array.max()}, expected whole levels in -128..127")
    return array.astype(np.int8)


def _real(file: _File, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if file.array.shape != shape or not np.isfinite(file.array).all():
        raise ValueError(f"{file.path}: shape {file.array.shape}, expected {shape} finite numbers")
    return np.asarray(file.array).astype(np.float32)


def _record(name: str, array: Array) -> dict[str, Any]:
    return {"array": name, "shape": list(array.shape), "dtype": array.dtype.str}
