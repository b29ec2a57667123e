"""Damaged files of ShiftLUT, TinyLUT and HKLUT are refused, and a file that changed after its export is named."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.model.published.tables import read_tables
from tests.unit.model.exported import exported


def refused_after(change: Any, folder: Path, family: str, message: str) -> None:
    """Files that are read are refused in one line after a change."""
    next(folder.glob("*.lutra.json")).unlink()
    read_tables([folder], family, 4)
    change(folder)
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_tables([folder], family, 4)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def spoil_json(folder: Path, change: Any) -> None:
    path = folder / "PW0_MSB.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def spoil_archive(folder: Path, **arrays: Any) -> None:
    path = folder / "PW0_MSB.npz"
    with np.load(path) as archive:
        found = dict(archive) | arrays
    np.savez(path, **{name: array for name, array in found.items() if array is not None})


def spoil_member(folder: Path, header: bytes, body: bytes) -> None:
    """Put an array of that header into an archive."""
    path = folder / "PW0_MSB.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, header + body if name == "i0o0.npy" else content)


HUGE = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '|i1', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117)
    + b"\n"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "offset.npy").unlink(), "no file offset.npy among the files given"),
        (lambda folder: (folder / "UP_MSB.json").unlink(), "no file UP_MSB.json among the files given"),
        (lambda folder: (folder / "PW1_MSB.json").write_text("{}"), "PW1_MSB.json: not part of shiftlut with 1 blocks"),
        (lambda folder: np.save(folder / "offset.npy", np.zeros((1, 16), int)), "expected integers (blocks, 2, chann"),
        (lambda folder: np.save(folder / "offset.npy", np.full((1, 2, 16), 99)), "offset.npy: option 'offsets'"),
        (lambda folder: np.save(folder / "offset.npy", np.zeros((1, 2, 9), int)), "expected IN 9, OUT 9"),
        (lambda folder: (folder / "PW0_MSB.json").write_text("[" * 9999), "PW0_MSB.json: not the description"),
        (lambda folder: (folder / "PW0_MSB.json").write_bytes(b" " * (2 << 20)), "2097152 bytes, expected at most"),
        (lambda folder: spoil_json(folder, lambda data: data.pop("IN")), "not the description of a layer"),
        (lambda folder: spoil_json(folder, lambda data: data.update(IN=15)), "IN 15, OUT 16 and 256 rows"),
        (lambda folder: spoil_json(folder, lambda data: data["LUTs"].pop()), "255 rows, expected IN 16, OUT 16 and a"),
        (lambda folder: spoil_json(folder, lambda data: data["LUTs"][0].update(step=3)), "found the step 3"),
        (lambda folder: spoil_json(folder, lambda data: data["LUTs"][0].update(step=2)), "expected 33 int8 or float32"),
        (lambda folder: spoil_archive(folder, i0o0=None), "array 'i0o0.npy' is surplus or missing"),
        (lambda folder: spoil_archive(folder, more=np.zeros(2)), "array 'more.npy' is surplus or missing"),
        (lambda folder: spoil_archive(folder, i0o0=np.zeros(64)), "'i0o0.npy' is float64"),
        (lambda folder: spoil_archive(folder, i0o0=np.zeros(64, np.float32)), "types ['<f4', '|i1'], expected one"),
        (lambda folder: spoil_archive(folder, i0o0=np.full(64, 0.5, np.float32)), "other values than whole levels"),
        (lambda folder: spoil_archive(folder, i0o0=np.full(64, np.nan, np.float32)), "other values than whole levels"),
        (
            lambda folder: spoil_archive(folder, i0o0=np.zeros(9999, np.int8)),
            "'i0o0.npy' has 10127 bytes, expected 64 numbers",
        ),
        (lambda folder: spoil_archive(folder, i0o0=np.array([{}], object)), "'i0o0.npy' is object"),
        (lambda folder: spoil_member(folder, HUGE, b"\0" * 64), "'i0o0.npy' is int8 of shape (10000000000000,)"),
        (lambda folder: (folder / "PW0_MSB.npz").write_bytes(b"PK" * 99), "not a readable archive of vectors"),
    ],
)
def test_damaged_files_of_shiftlut_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    refused_after(change, exported(tmp_path, "shiftlut-s-x4"), "shiftlut", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "clip_hl2.npy").unlink(), "no file clip_hl2.npy among the files given"),
        (lambda folder: np.save(folder / "more.npy", np.zeros(2)), "more.npy: its name is not that of a published"),
        (lambda folder: np.save(folder / "clip_hh1.npy", np.zeros(15, np.float32)), "expected float32 (16,)"),
        (lambda folder: np.save(folder / "clip_hh1.npy", np.full(16, np.nan, np.float32)), "other values than scales"),
        (lambda folder: np.save(folder / "clip_hh1.npy", np.full(16, 2, np.float32)), "Point_x4_H6.npy: int8 of shape"),
        (
            lambda folder: np.save(folder / "Model_V_L1_Depth_x4_L2.npy", np.zeros((36, 16))),
            "Model_V_L1_Depth_x4_L2.npy: float64 of shape (36, 16), expected int8 (36, 16, 1, 1)",
        ),
    ],
)
def test_damaged_files_of_tinylut_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    refused_after(change, exported(tmp_path, "tinylut-x4"), "tinylut", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "S1_LSB_HD_LUT_D_x2_4bit_int8.npy").unlink(), "no file S1_LSB_HD_LUT_D_x2_4bit_int8"),
        (lambda folder: np.save(folder / "more.npy", np.zeros(2)), "more.npy: its name is not that of a published"),
        (
            lambda folder: np.save(folder / "S0_MSB_HDB_LUT_B_x2_4bit_int8.npy", np.zeros((4096, 4), np.int8)),
            "B_x2_4bit_int8.npy: int8 of shape (4096, 4), expected int8 (4096, 1, 2, 2)",
        ),
    ],
)
def test_damaged_files_of_hklut_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    refused_after(change, exported(tmp_path, "hklut-x4"), "hklut", message)


def test_a_file_changed_after_export_is_told(tmp_path: Path) -> None:
    folder = exported(tmp_path, "shiftlut-s-x4")
    shutil.copy(folder / "DW0_MSB.npz", folder / "PW0_MSB.npz")
    with pytest.raises(ValueError, match=r"'PW0_MSB\.npz' was changed since it was described"):
        read_tables([folder], "shiftlut", 4)
