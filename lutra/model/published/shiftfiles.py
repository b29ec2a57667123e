"""Read and write ShiftLUT's published files: NAME.npz and NAME.json of each layer, and offset.npy.

| file | holds |
|---|---|
| DW0_LSB, DWi_MSB, PWi_MSB, UP_MSB .npz | the samples of the vector of input a and output b, as `iaob` |
| the same .json | `{"IN": inputs, "OUT": outputs, "LUTs": [{"in": a, "out": b, "step": s}, ...]}` |
| offset.npy | int32 (blocks, 2, channels): dy and dx of every channel |
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as shown  # short, and on one line, whatever a file holds
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.files import write_whole
from lutra.model import families
from lutra.model.artifact import Artifact
from lutra.model.description import Description, LayerForm, Shift
from lutra.model.forms import Function
from lutra.model.published.arrays import load_array
from lutra.model.steps import MOST_CHANNELS, MOST_LEVELS
from lutra.model.vectors import VectorLayout

OFFSETS = "offset.npy"
_TYPES = ("|i1", "<f4")
"""The types of arrays in published files; those of four bytes hold whole levels too."""
_MOST_HEADER = 512
"""Limit of the header of an array in an archive."""
_MOST_BYTES = 1 << 20
"""Limit of a JSON file; one of 64 x 64 vectors has a third."""


def read(paths: Sequence[Path], scale: int) -> Artifact:
    """Read published tables of ShiftLUT as a model whose interpolated values are not rounded, as published.

    Raises:
        ValueError: a file is surplus, missing or damaged, or holds other shapes or values; names the file.
        OSError: a file cannot be read.
    """
    files = {path.name: path for path in paths}
    if OFFSETS not in files:
        raise ValueError(f"no file {OFFSETS} among the files given")
    description = _describe(files[OFFSETS], scale)
    expected = {file: layer.name for _, layer in description.layers() for file in _names(layer.name)}
    for name in sorted(files.keys() - expected.keys() - {OFFSETS}):
        raise ValueError(f"{files[name]}: not part of {description.family} with {description.options['blocks']} blocks")
    for name in sorted(expected.keys() - files.keys()):
        raise ValueError(f"no file {name} among the files given")
    functions: dict[str, Function] = {}
    tensors: dict[str, NDArray[Any]] = {}
    record: dict[str, Any] = {}
    for step, layer in description.layers():
        arrays, steps_file = (files[name] for name in _names(layer.name))
        form = description.form(step)
        steps = _steps(steps_file, form)
        functions[layer.name] = VectorLayout(1 if set(sum(steps, ())) == {1} else steps, rounded=False)
        samples = np.concatenate(_vectors(arrays, steps, form))
        tensors[f"{layer.name}.vectors"] = samples.astype(np.int8)
        zeros = np.flatnonzero((samples == 0) & np.signbit(samples)).tolist()  # published, as real numbers
        record[arrays.name] = {"dtype": samples.dtype.str, "negative_zeros": zeros}
    return Artifact(description, functions, tensors, provenance={"published": record})


def write(artifact: Artifact, folder: Path) -> tuple[Artifact, dict[Path, str]]:
    """Write a model in ShiftLUT's files.

    Returns:
        The model, and what each file that was written holds.

    Raises:
        ValueError: the model's steps are not those of ShiftLUT, or its provenance records what does not fit them.
        OSError: a file cannot be written.
    """
    description = artifact.description
    own = {key: description.options.get(key) for key in ("blocks", "channels", "offsets")}
    if families.describe("shiftlut", description.scale, own).steps != description.steps:
        raise ValueError("the model's steps are not those of ShiftLUT, which its files describe")
    written: dict[Path, str] = {}
    for step, layer in description.layers():
        layout, form = artifact.functions[layer.name], description.form(step)
        if not isinstance(layout, VectorLayout) or layout.ranges is not None:
            raise ValueError(f"layer '{layer.name}' has no vectors at steps, which ShiftLUT's files hold")
        arrays, steps_file = _names(layer.name)
        samples = _as_recorded(artifact.tensors[f"{layer.name}.vectors"], arrays, artifact.provenance)
        write_whole(folder / arrays, _archive(samples, layout, form))
        write_whole(folder / steps_file, _steps_text(layout, form))
        written |= {folder / arrays: f"{layer.name}.vectors", folder / steps_file: f"{layer.name}.steps"}
    moved = [step.offsets for step in description.steps if isinstance(step, Shift) and step.writes != "head"]
    shifts = np.array(moved, np.int32)
    offsets = np.ascontiguousarray(shifts.transpose(0, 2, 1))
    write_whole(folder / OFFSETS, lambda out: np.save(out, offsets))
    written[folder / OFFSETS] = "offsets"
    return artifact, written


def _as_recorded(samples: NDArray[np.int8], file: str, provenance: Mapping[str, Any]) -> NDArray[Any]:
    """Return samples in the type of numbers that they were published in; int8 where there is no record of it."""
    published = provenance.get("published") or {}
    record = published.get(file, {}) if isinstance(published, dict) else None
    kind, zeros = (record.get("dtype", "|i1"), record.get("negative_zeros", [])) if isinstance(record, dict) else (0, 0)
    if kind not in _TYPES or not isinstance(zeros, list):
        raise ValueError(
            f"the model records {shown(record)} for {file}, expected a type of {_TYPES} and places of zeros"
        )
    found = samples.astype(kind)
    if zeros and (
        kind == "|i1" or not all(type(at) is int and 0 <= at < len(found) and found[at] == 0 for at in zeros)
    ):
        raise ValueError(f"the model records negative zeros of {file} where it has other numbers")
    found[zeros] *= -1
    return found


def _names(layer: str) -> tuple[str, str]:
    """Return the names of a layer's two files."""
    stem = "DW0_LSB" if layer == "dw0_low" else f"{layer.upper()}_MSB"
    return f"{stem}.npz", f"{stem}.json"


def _describe(path: Path, scale: int) -> Description:
    """Return the description of a model with the offsets in a file."""
    array = load_array(path)
    if array.ndim != 3 or array.shape[1] != 2 or array.dtype.kind != "i" or array.shape[2] > MOST_CHANNELS:
        raise ValueError(f"{path}: {array.dtype} of shape {array.shape}, expected integers (blocks, 2, channels)")
    options = {"blocks": array.shape[0], "channels": array.shape[2], "offsets": array.transpose(0, 2, 1).tolist()}
    try:
        return families.describe("shiftlut", scale, options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _steps(path: Path, form: LayerForm) -> tuple[tuple[int, ...], ...]:
    """Return the steps of a layer's vectors, by input and output."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, expected at most {_MOST_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content["LUTs"]
        found = {(row["in"], row["out"]): row["step"] for row in rows}
        size, count = (content["IN"], content["OUT"]), len(rows)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path}: not the description of a layer, with IN, OUT and LUTs") from None
    places = [(a, b) for a in range(form.inputs) for b in range(form.outputs)]
    if size != (form.inputs, form.outputs) or set(found) != set(places) or count != len(places):
        wanted = f"IN {form.inputs}, OUT {form.outputs} and a row for each pair"
        raise ValueError(f"{path}: IN {shown(size[0])}, OUT {shown(size[1])} and {count} rows, expected {wanted}")
    steps = tuple(tuple(found[a, b] for b in range(form.outputs)) for a in range(form.inputs))
    for step in sum(steps, ()):
        if type(step) is not int or not 1 <= step <= MOST_LEVELS or form.levels % step or step & (step - 1):
            raise ValueError(f"{path}: found the step {shown(step)}, expected a power of two up to {form.levels}")
    return steps


def _vectors(path: Path, steps: tuple[tuple[int, ...], ...], form: LayerForm) -> list[NDArray[Any]]:
    """Return the samples of every vector in an archive, in the one type that they are stored in."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            wanted = {f"i{a}o{b}.npy": step for a, row in enumerate(steps) for b, step in enumerate(row)}
            if set(members) != set(wanted) or len(archive.infolist()) != len(wanted):
                name = min(set(members) ^ set(wanted), default="twice")
                raise ValueError(f"array {shown(name)} is surplus or missing")
            lengths = {name: form.levels // step + (step > 1) for name, step in wanted.items()}
            for name, length in lengths.items():
                if members[name].file_size > _MOST_HEADER + 8 * length:
                    raise ValueError(f"'{name}' has {members[name].file_size} bytes, expected {length} numbers")
            raw = {name: archive.read(name) for name in wanted}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and not path.is_file():
            raise
        raise ValueError(f"{path}: not a readable archive of vectors ({error})") from None
    arrays = [_vector(path, name, raw[name], length) for name, length in lengths.items()]
    types = sorted({array.dtype.str for array in arrays})
    if len(types) != 1:
        raise ValueError(f"{path}: arrays of the types {types}, expected one")
    return arrays


def _vector(path: Path, name: str, raw: bytes, length: int) -> NDArray[Any]:
    """Return an array of whole levels from the bytes of a .npy file."""
    file = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("of another version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError as error:
        raise ValueError(f"{path}: '{name}' is no array of {length} numbers ({error})") from None
    body = raw[file.tell() :]
    if dtype.str not in _TYPES or shape != (length,) or len(body) != length * dtype.itemsize:
        raise ValueError(f"{path}: '{name}' is {dtype} of shape {shown(shape)}, expected {length} int8 or float32")
    array = np.frombuffer(body, dtype)
    if not np.isfinite(array).all() or (array != np.rint(array)).any() or array.min() < -128 or array.max() > 127:
        raise ValueError(f"{path}: '{name}' holds other values than whole levels in -128..127")
    return array


def _steps_text(layout: VectorLayout, form: LayerForm) -> str:
    steps = np.broadcast_to(np.array(layout.steps), (form.inputs, form.outputs)).tolist()
    rows = [{"in": a, "out": b, "step": step} for a, row in enumerate(steps) for b, step in enumerate(row)]
    return json.dumps({"IN": form.inputs, "OUT": form.outputs, "LUTs": rows}, indent=2)


class _Stored(zipfile.ZipInfo):
    """A member as the Python of the publication wrote it; later ones write other headers of the same meaning."""

    def FileHeader(self, zip64: bool | None = None) -> bytes:
        """Return the header before the member: its sizes twice, once as those beyond 4 GiB are written."""
        name, size = self.filename.encode("ascii"), self.file_size
        fields = (b"PK\x03\x04", 20, 0, 0, 0, 0, 33, self.CRC, size, size, len(name), 20)  # 33: 1 January 1980
        return struct.pack("<4s2B4HL2L2H", *fields) + name + struct.pack("<HHQQ", 1, 16, size, size)


def _archive(samples: NDArray[Any], layout: VectorLayout, form: LayerForm) -> bytes:
    """Return the .npz of a layer's samples."""
    steps = np.broadcast_to(np.array(layout.steps), (form.inputs, form.outputs))
    ends = np.cumsum(form.levels // steps + (steps > 1))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, vector in enumerate(np.split(samples, ends[:-1])):
            own = io.BytesIO()
            np.save(own, vector)
            a, b = divmod(number, form.outputs)
            archive.writestr(_Stored(f"i{a}o{b}.npy"), own.getvalue())
    return file.getvalue()
