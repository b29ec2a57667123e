"""`lutra restore`, run as a user runs it: files, folders, standard streams, models."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra import engine
from lutra.imaging.images import read_image, write_image
from lutra.model import artifact
from lutra.reference.convert import from_artifact
from lutra.restore.done import RECORD
from tests.golden import cases
from tests.unit.cli.calls import lutra, piped, run


def test_restore_writes_what_the_reference_computes(model: Path, tmp_path: Path) -> None:
    image = np.stack([cases.image(9, 7), cases.image(9, 7).T.reshape(9, 7), cases.image(9, 7)[::-1]], axis=-1)
    write_image(tmp_path / "in.png", image)
    lutra("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    expected = from_artifact(artifact.load(model)).restore_image(image)
    assert np.array_equal(read_image(tmp_path / "out.png"), expected)


def test_restore_takes_several_files_and_changes_the_format(model: Path, folder: Path, tmp_path: Path) -> None:
    files = (folder / "a.png", folder / "sub" / "c.webp")
    lutra("restore", "-m", model, "-i", *files, "-o", tmp_path / "out", "--format", "jpeg", "--quality", 80)
    lutra("restore", "-m", model, "-i", files[0], "-i", files[1], "-o", tmp_path / "out", "--threads", 1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [RECORD, "a.jpg", "a.png", "c.jpg", "c.webp"]


def test_a_single_broken_file_is_a_mistake(model: Path, folder: Path, tmp_path: Path) -> None:
    broken = lutra("restore", "-m", model, "-i", folder / "sub" / "b.png", "-o", tmp_path / "o.png", code=2)
    assert "b.png: found none of the formats" in broken
    unknown = lutra("restore", "-m", model, "-i", folder, "-o", tmp_path / "o", "--device", "tpu", code=2)
    assert "device is 'tpu'" in unknown


@pytest.mark.skipif(not engine.available(), reason="needs the compiled engine")
def test_restore_needs_no_torch(model: Path, folder: Path, tmp_path: Path) -> None:
    arguments = ("restore", "-m", model, "-i", folder / "a.png", "-o", tmp_path / "out.png")
    done = run(*arguments, before="sys.modules['torch'] = None")
    assert done.returncode == 0 and not done.stderr
    expected = from_artifact(artifact.load(model)).restore_image(cases.image(9, 7))
    assert np.array_equal(read_image(tmp_path / "out.png"), expected)


def test_without_the_engine_torch_restores_and_a_note_says_how_to_get_it(model: Path, folder: Path) -> None:
    arguments = ("restore", "-m", model, "-i", folder / "a.png", "-o", folder.parent / "out.png")
    done = run(*arguments, before="sys.modules['lutra._core._lutra'] = None")
    assert done.returncode == 0
    assert done.stderr.startswith("note: the compiled engine is not installed") and done.stderr.count("\n") == 1


def test_restore_takes_an_address_with_a_checksum(model: Path, folder: Path, tmp_path: Path) -> None:
    checksum = hashlib.sha256(model.read_bytes()).hexdigest()
    request = ("restore", "-i", folder / "a.png", "-o", tmp_path / "out.png", "-m")
    cache: dict[str, Any] = {"LUTRA_CACHE": str(tmp_path / "cache")}
    lutra(*request, f"{model.as_uri()}#sha256={checksum}", **cache)
    assert read_image(tmp_path / "out.png").shape == (18, 14)
    assert "its SHA-256 is" in lutra(*request, f"{model.as_uri()}#sha256={'0' * 64}", code=2, **cache)


def test_restore_takes_files_as_arguments_alone(model: Path, folder: Path, tmp_path: Path) -> None:
    lutra("restore", folder / "a.png", "-m", model, "-o", tmp_path / "out.png")
    assert read_image(tmp_path / "out.png").shape == (18, 14)
    assert "missing option '--input' / '-i', or a file" in lutra("restore", "-m", model, "-o", tmp_path, code=2)


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_restore_writes_to_standard_output_and_reads_standard_input(
    model: Path, folder: Path, tmp_path: Path, output: str
) -> None:
    lutra("restore", "-m", model, "-i", folder / "a.png", "-o", tmp_path / "out.png")
    expected = (tmp_path / "out.png").read_bytes()
    assert piped("restore", "-m", model, "-i", folder / "a.png", "-o", output).stdout == expected
    given = (folder / "a.png").read_bytes()
    assert piped("restore", "-m", model, "-i", "-", "-o", output, given=given).stdout == expected
    piped("restore", "-m", model, "-", "-o", tmp_path / "from.webp", given=given)
    assert read_image(tmp_path / "from.webp").shape[:2] == (18, 14)
    broken = piped("restore", "-m", model, "-i", "-", "-o", output, given=b"broken")
    assert (broken.returncode, broken.stdout) == (2, b"")
    assert broken.stderr.startswith(b"error: standard input: found none of the formats")
    several = piped("restore", "-m", model, "-i", folder, "-o", output)
    assert several.returncode == 2 and b"expected one file in and one out" in several.stderr


def test_a_device_is_not_replaced_by_a_result(model: Path, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "found a device or pipe" in lutra(
        "restore", "-m", model, "-i", folder / "a.png", "-o", tmp_path / "pipe", code=2
    )
    assert (tmp_path / "pipe").is_fifo()


def test_the_limit_of_pixels_names_the_option_that_raises_it(model: Path, folder: Path, tmp_path: Path) -> None:
    request = ("restore", "-m", model, "-i", folder / "a.png", "-o", tmp_path / "out.png", "--max-pixels")
    refused = lutra(*request, 251, code=2)
    assert "found 7 x 9 pixels, more than the 62 that are allowed; --max-pixels 252 allows them" in refused
    lutra(*request, 252)
    assert read_image(tmp_path / "out.png").shape == (18, 14)


def test_a_picture_above_pillows_limit_is_restored(denoiser: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    before = "import PIL.Image; PIL.Image.MAX_IMAGE_PIXELS = 60"
    done = run("restore", "-m", denoiser, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png", before=before)
    assert done.returncode == 0 and read_image(tmp_path / "out.png").shape == (9, 7)
