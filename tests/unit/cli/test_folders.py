"""`lutra restore` on folders: what is restored, skipped, made again or left out."""

import os
import time
from pathlib import Path

from lutra.imaging.images import read_image, write_image
from lutra.model import artifact
from lutra.restore.done import RECORD
from tests.golden import cases
from tests.unit.cli.calls import lutra, run


def test_restore_does_a_folder_but_for_what_is_broken(model: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = run("restore", "-m", model, "-i", folder, "-o", output)
    assert first.returncode == 1 and first.stdout == "2 restored, 1 failed\n"
    assert first.stderr.count("\n") == 1 and "b.png: found none of the formats" in first.stderr
    assert sorted(path.name for path in output.rglob("*.*")) == [RECORD, "a.png", "c.webp"]
    assert read_image(output / "sub" / "c.webp").shape == (18, 14, 3)
    (folder / "sub" / "b.png").unlink()
    assert lutra("upscale", "-m", model, "-i", folder, "-o", output).startswith("0 restored, 2 skipped")
    later = time.time_ns() + 10**9  # else within one tick of the clock that stamps files
    os.utime(folder / "a.png", ns=(later, later))
    assert lutra("restore", "-m", model, "-i", folder, "-o", output).startswith("1 restored, 1 skipped")
    os.utime(model, ns=(later, later))
    assert lutra("restore", "-m", model, "-i", folder, "-o", output) == "2 restored\n"
    assert lutra("restore", "-m", model, "-i", folder, "-o", output, "--overwrite") == "2 restored\n"


def test_results_of_another_model_quality_or_source_are_made_again(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_image(source / "a.png", cases.image(9, 7))
    write_image(source / "b.jpg", cases.image(9, 7))
    request = ("restore", "-i", source, "-o", output)
    assert lutra(*request, "-m", model) == "2 restored\n"
    assert lutra(*request, "-m", model).startswith("0 restored, 2 skipped")
    assert lutra(*request, "-m", model, "--quality", 50).startswith("1 restored, 1 skipped"), "JPEG alone has it"
    older = tmp_path / "older.safetensors"
    artifact.save(older, cases.model("srlut-x2-8bit"))
    os.utime(older, (1, 1))
    assert lutra(*request, "-m", older) == "2 restored\n"
    write_image(source / "a.png", cases.image(9, 8))
    os.utime(source / "a.png", (1, 1))
    assert lutra(*request, "-m", older).startswith("1 restored, 1 skipped")
    assert read_image(output / "a.png").shape == (18, 16)
    (output / "a.png").write_bytes(b"cut")
    assert lutra(*request, "-m", older).startswith("1 restored, 1 skipped")


def test_a_damaged_record_restores_again_and_is_mended(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_image(source / "a.png", cases.image(9, 7))
    request = ("restore", "-m", model, "-i", source, "-o", output)
    lutra(*request)
    (output / RECORD).write_bytes(b'\xff\n[1]\n{"result": 3}\n{"result": "a.png", "cu')
    assert lutra(*request) == "1 restored\n"
    assert lutra(*request).startswith("0 restored, 1 skipped")


def test_no_overwrite_never_replaces_a_file(model: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "sub" / "b.png").unlink()
    output = tmp_path / "out"
    output.mkdir()
    (output / "a.png").write_bytes(b"mine")
    os.utime(output / "a.png", (1, 1))
    said = lutra("restore", "-m", model, "-i", folder, "-o", output, "--no-overwrite")
    assert said == "1 restored, 1 skipped (there already; --no-overwrite)\n"
    one = ("restore", "-m", model, "-i", folder / "a.png", "-o", output / "a.png", "--no-overwrite")
    assert "a.png: found a file, which --no-overwrite keeps" in lutra(*one, code=2)
    assert (output / "a.png").read_bytes() == b"mine"


def test_what_is_left_out_of_a_folder_is_said(model: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "sub" / "b.png").unlink()
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "c.jfif").write_bytes(b"")
    done = run("restore", "-m", model, "-i", folder, "-o", tmp_path / "out")
    assert done.returncode == 0 and done.stdout == "2 restored\n"
    left_out = "left out 2: c.jfif (.jfif is not read), gone.png (a link that leads nowhere)"
    assert done.stderr == f"note: {folder}: {left_out}\n"
