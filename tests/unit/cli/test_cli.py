"""The command line, run as a user runs it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra import engine
from lutra.engine.plan_file import to_bytes
from lutra.files import temporary_name
from lutra.imaging.images import read_image, write_image
from lutra.model import artifact
from lutra.model.tasks import options
from lutra.reference.convert import from_artifact
from lutra.restore.done import RECORD
from tests.golden import cases

Folder = Callable[[str], Path]


def run(*arguments: object, before: str = "pass", **variables: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; {before}; from lutra.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    assert "Traceback" not in done.stderr
    return done


def lutra(*arguments: object, code: int = 0, **variables: str) -> str:
    """Run the command; returns stdout, or stderr when it is to fail."""
    done = run(*arguments, **variables)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    artifact.save(path, cases.model("mulut-dfc-x2"))
    return path


def test_restore_writes_what_the_reference_computes(model: Path, tmp_path: Path) -> None:
    image = np.stack([cases.image(9, 7), cases.image(9, 7).T.reshape(9, 7), cases.image(9, 7)[::-1]], axis=-1)
    write_image(tmp_path / "in.png", image)
    lutra("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    expected = from_artifact(artifact.load(model)).restore_image(image)
    assert np.array_equal(read_image(tmp_path / "out.png"), expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    code = (
        "import os, sys, time; from lutra.cli import main; os.replace = lambda *_: time.sleep(60); "
        f"sys.argv = ['lutra', 'restore', '-m', {str(model)!r}, '-i', {str(tmp_path / 'in.png')!r}, "
        f"'-o', {str(tmp_path / 'out' / 'a.png')!r}]; sys.exit(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("out/.*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and list((tmp_path / "out").iterdir()) == []
    assert said == ("interrupted\n" if number == signal.SIGINT else "")


def test_a_hangup_that_nohup_ignores_does_not_end_a_run(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from lutra.cli import main; "
        "place = os.replace; os.replace = lambda *names: (os.kill(os.getpid(), signal.SIGHUP), place(*names)); "
        f"sys.argv = ['lutra', 'restore', '-m', {str(model)!r}, '-i', {str(tmp_path / 'in.png')!r}, "
        f"'-o', {str(tmp_path / 'out' / 'a.png')!r}]; sys.exit(main())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_what_an_ended_run_left_is_removed_by_the_next(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = temporary_name(tmp_path / "out.png")
    left = left.with_name(left.name.replace(str(os.getpid()), ended.stdout.decode().strip()))
    left.touch()
    lutra("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert not left.exists() and (tmp_path / "out.png").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a subfolder, and a broken one between them."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    write_image(folder / "a.png", cases.image(9, 7))
    write_image(folder / "sub" / "c.webp", np.dstack([cases.image(9, 7)] * 3))
    (folder / "sub" / "b.png").write_text("broken")
    return folder


def test_restore_does_a_folder_but_for_what_is_broken(model: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = run("restore", "-m", model, "-i", folder, "-o", output)
    assert first.returncode == 1 and first.stdout == "2 restored, 1 failed\n"
    assert first.stderr.count("\n") == 1 and "b.png: found none of the formats" in first.stderr
    assert sorted(path.name for path in output.rglob("*.*")) == [RECORD, "a.png", "c.webp"]
    assert read_image(output / "sub" / "c.webp").shape == (18, 14, 3)
    (folder / "sub" / "b.png").unlink()
    assert lutra("upscale", "-m", model, "-i", folder, "-o", output).startswith("0 restored, 2 skipped")
    os.utime(folder / "a.png")
    assert lutra("restore", "-m", model, "-i", folder, "-o", output).startswith("1 restored, 1 skipped")
    os.utime(model)
    assert lutra("restore", "-m", model, "-i", folder, "-o", output) == "2 restored\n"
    assert lutra("restore", "-m", model, "-i", folder, "-o", output, "--overwrite") == "2 restored\n"


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


def test_models_lists_the_zoo(model: Path) -> None:
    from lutra import zoo

    listed = lutra("models")
    assert all(word in listed for word in ("name", "task", "scale", "bytes", "Set5", "licence", *zoo.models()))
    column = listed.splitlines()[1].split("┃").index(" ms/MP ")
    speeds = [line.split("│")[column] for line in listed.splitlines() if line.startswith("│")]
    assert len(speeds) == len(zoo.models()) and all(float(speed) > 0 for speed in speeds)
    assert zoo.facts(model)[:3] == ("sr", "2", str(model.stat().st_size))


def test_mistakes_get_one_line(model: Path, tmp_path: Path) -> None:
    missing = lutra("restore", "-m", model, "-i", tmp_path / "none.png", "-o", tmp_path / "o.png", code=2)
    assert "none.png" in missing
    (tmp_path / "bad.safetensors").write_text("bad")
    assert "bad.safetensors: not a safetensors file" in lutra("info", tmp_path / "bad.safetensors", code=2)
    unknown = lutra("import", tmp_path / "x.npy", "--family", "lutnet", "--scale", 4, "-o", tmp_path / "m", code=2)
    assert "x.npy" in unknown or "lutnet" in unknown


def test_help_states_the_options_of_every_task_and_defaults_in_brackets() -> None:
    for command, default in (("evaluate", "[default: the model's]"), ("import", "[default: 5 to 10]")):
        shown = " ".join(lutra(command, "--help", COLUMNS="200").replace("│", " ").split())
        for name, tasks in options().items():
            meaning = f"{', '.join(tasks)}: {next(iter(tasks.values())).meaning}"
            assert name == "scale" or (f"--{name} " in shown and meaning in shown)
        assert default in shown
    assert "[default: 268435456]" in " ".join(lutra("restore", "--help", COLUMNS="200").replace("│", " ").split())


def test_help_needs_neither_torch_nor_numpy() -> None:
    before = "sys.modules.update(torch=None, numpy=None, PIL=None)"
    assert run("--help", before=before).returncode == run("evaluate", "--help", before=before).returncode == 0


def test_wrong_usage_gets_one_line() -> None:
    assert "'--threads'" in lutra("restore", "--threads", 0, code=2)
    assert "No such command 'nothing'" in lutra("nothing", code=2)
    assert "'-i'" in lutra("restore", "-m", "model", code=2)


def test_evaluate_scores_a_folder(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hr"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", np.kron(cases.image(8, 8), np.ones((4, 4), np.uint8)))
    assert "PSNR-Y" in lutra("evaluate", model, "--data", folder, "--json", tmp_path / "scores.json")
    result = json.loads((tmp_path / "scores.json").read_text())
    assert set(result["images"]) == {"a.png", "b.png"}
    assert result["mean"]["psnr_y"] == pytest.approx(result["images"]["a.png"]["psnr_y"])
    assert "2 border pixels" in result["protocol"]
    other = lutra("evaluate", model, "--data", folder, "--task", "photo", "--quality", 50)
    assert "shrinking by 1/2" in other and "JPEG of quality 50 " in other
    assert "scale is 2, expected 1 for task denoise" in lutra(
        "evaluate", model, "--data", folder, "--task", "denoise", "--sigma", 25, code=2
    )


@pytest.fixture
def denoiser(tmp_path: Path) -> Path:
    path = tmp_path / "denoiser.safetensors"
    artifact.save(path, replace(cases.model("spflut-dfc-x1"), task="denoise", options={"sigma": 25}))
    return path


def test_evaluate_follows_the_models_task_and_writes_scores_and_sheets(denoiser: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number, name in enumerate("abc"):
        write_image(tmp_path / "set" / f"{name}.png", cases.image(40 + number, 48))
    shown = lutra("evaluate", denoiser, "--data", tmp_path / "set", "-o", tmp_path / "out", "--sheets", 1)
    assert "Gaussian noise of sigma 25" in shown and "PSNR, dB" in shown and "SSIM" in shown
    rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert rows[0] == "image,psnr,ssim" and [row.split(",")[0] for row in rows[1:]] == [
        "a.png",
        "b.png",
        "c.png",
        "mean",
    ]
    scores = {row.split(",")[0]: float(row.split(",")[1]) for row in rows[1:4]}
    best, worst = max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)
    drawn = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert drawn == [f"best-1-{best}", f"worst-1-{worst}"]
    again = lutra("evaluate", denoiser, "--data", tmp_path / "set", "--sigma", 50)
    assert "Gaussian noise of sigma 50" in again
    assert "quality: denoise has no such option" in lutra(
        "evaluate", denoiser, "--data", tmp_path / "set", "--quality", 10, code=2
    )


def test_evaluate_finds_sets_by_name(denoiser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    write_image(tmp_path / "sets" / "mine" / "a.png", cases.image(40, 48))
    monkeypatch.setenv("LUTRA_DATA", str(tmp_path / "sets"))
    assert "a.png" in lutra("evaluate", denoiser, "--data", "mine")
    assert "python -m pipeline fetch" in lutra("evaluate", denoiser, "--data", "yours", code=2)


def test_evaluate_takes_pairs_and_names_what_does_not_fit(denoiser: Path, tmp_path: Path) -> None:
    for kind in ("input", "target"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        write_image(tmp_path / "pairs" / kind / "a.png", cases.image(40, 48))
    clean = lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs")
    assert "the set's own degraded images" in clean
    write_image(tmp_path / "pairs" / "input" / "a.png", cases.image(40, 47))
    assert "a.png" in lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs", code=2)
    write_image(tmp_path / "pairs" / "target" / "b.png", cases.image(40, 48))
    assert "b.png" in lutra("evaluate", denoiser, "--data", tmp_path / "pairs", "--pairs", code=2)


def test_info_tells_units_that_read_several_colours(tmp_path: Path) -> None:
    artifact.save(tmp_path / "colours.safetensors", cases.model("dnlut-x1"))
    shown = lutra("info", tmp_path / "colours.safetensors")
    assert "4 of colours" in shown and "3 of colours" in shown and "channel" not in shown


def test_info_says_what_a_model_was_trained_for(denoiser: Path) -> None:
    shown = lutra("info", denoiser)
    assert "task denoise sigma 25" in shown and "receptive field: 21x21 pixels" in shown


def published(reference: Folder, folder: str, pattern: str) -> list[Path]:
    return sorted(reference(folder).glob(pattern))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("family", "folder", "pattern", "megabytes"),
    [("mulut", "mulut", "LUT_ft*.npy", "4.062 MiB"), ("spflut", "spflut/dfc", "*.npy", "2.018 MiB")],
)
def test_import_info_export(
    reference: Folder, tmp_path: Path, family: str, folder: str, pattern: str, megabytes: str
) -> None:
    files = published(reference, folder, pattern)
    path = tmp_path / "model.safetensors"
    lutra("import", *files, "--family", family, "--scale", 4, "-o", path)
    assert megabytes in lutra("info", path)
    lutra("export", "--format", "npy", path, "-o", tmp_path / "npy")
    assert all((tmp_path / "npy" / file.name).read_bytes() == file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "shiftlut-steps-x4",
            ["shiftlut x4 (blocks 2, channels 16), task sr", "receptive field: 9x9", "step 1 to 64"],
        ),
        ("tinylut-x4", ["tinylut x4, task sr", "ranges of its own", "scales, float32", "padding reflect"]),
        ("hklut-x4", ["hklut x4, task sr", "receptive field: 7x7", "high bits, 3", "low bits, 2", "direct", "4096"]),
        ("shiftlut-x1", ["offsets of its own for 1 blocks", "pointwise", "depthwise, 9"]),
    ],
)
def test_models_of_layers_go_out_and_in_as_folders_and_restore(tmp_path: Path, name: str, shown: list[str]) -> None:
    model = cases.model(name)
    artifact.save(tmp_path / "model.safetensors", model)
    text = lutra("info", tmp_path / "model.safetensors")
    assert all(part in text for part in [*shown, str(model.table_bytes)])
    lutra("export", tmp_path / "model.safetensors", "-o", tmp_path / "tables")
    again = ("--family", model.description.family, "--scale", model.description.scale)
    lutra("import", tmp_path / "tables", *again, "-o", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    write_image(tmp_path / "in.png", cases.image(9, 7))
    lutra("restore", "-m", tmp_path / "again.safetensors", "-i", tmp_path / "in.png", "-o", tmp_path / "out.png")
    with np.load(cases.OUTPUTS) as golden:
        assert np.array_equal(np.squeeze(read_image(tmp_path / "out.png")), golden[f"{name}/9x7"])


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "psnr", "ssim"), [("Set5", 30.61, 0.8656), ("Set14", 27.61, 0.7544), ("B100", 26.86, 0.7112)]
)
def test_published_mulut_scores(
    reference: Folder, dataset: Folder, tmp_path: Path, name: str, psnr: float, ssim: float
) -> None:
    path = tmp_path / "mulut.safetensors"
    lutra("import", *published(reference, "mulut", "LUT_ft*.npy"), "--family", "mulut", "--scale", 4, "-o", path)
    lutra("evaluate", path, "--data", dataset(name), "--json", tmp_path / "scores.json")
    mean = json.loads((tmp_path / "scores.json").read_text())["mean"]
    assert mean["psnr_y"] == pytest.approx(psnr, abs=0.01)
    assert mean["ssim_y"] == pytest.approx(ssim, abs=0.0005)


def test_storage_of_the_published_systems() -> None:
    """The published storage figures, from the descriptions alone (MB of 2^20 bytes; one byte a value)."""
    from lutra.model import families
    from lutra.model.description import ChannelTaps
    from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout

    def megabytes(family: str, layout: Layout) -> float:
        total = 0
        for _, unit in families.describe(family, 4).units():
            own = DenseLayout(4) if isinstance(unit.taps, ChannelTaps) else layout
            total += own.entries * unit.values
        return round(total / 2**20, 3)

    assert megabytes("mulut", DenseLayout(4)) == 4.062
    assert megabytes("mulut", DiagonalLayout()) == 0.407
    assert megabytes("spflut", DenseLayout(4)) == 17.284
    assert megabytes("spflut", DiagonalLayout()) == 2.018


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


def test_restore_takes_files_as_arguments_alone(model: Path, folder: Path, tmp_path: Path) -> None:
    lutra("restore", folder / "a.png", "-m", model, "-o", tmp_path / "out.png")
    assert read_image(tmp_path / "out.png").shape == (18, 14)
    assert "missing option '--input' / '-i', or a file" in lutra("restore", "-m", model, "-o", tmp_path, code=2)


def piped(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "import sys; from lutra.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, check=False)


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


@pytest.mark.parametrize(("name", "encoding"), [("b\udce4r.png", "utf-8"), ("日本.png", "cp1252")])
def test_scores_are_written_whatever_the_names_are(denoiser: Path, tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / "set").mkdir()
    write_image(tmp_path / "set" / "plain.png", cases.image(40, 48))
    os.rename(tmp_path / "set" / "plain.png", tmp_path / "set" / name)
    request = ("evaluate", denoiser, "--data", tmp_path / "set", "-o", tmp_path / "out", "--json", tmp_path / "s.json")
    shown = lutra(*request, PYTHONIOENCODING=encoding)
    assert name.encode("ascii", "backslashreplace").decode() in shown
    assert list(json.loads((tmp_path / "s.json").read_text())["images"]) == [name]
    assert {"scores.csv", "scores.json"} < {path.name for path in (tmp_path / "out").iterdir()}


def test_names_in_brackets_and_colons_are_shown_as_they_are(denoiser: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("photo [draft].png", "photo [final].png", ":smile:.png"):
        write_image(tmp_path / "set" / name, cases.image(40, 48))
    shown = lutra("evaluate", denoiser, "--data", tmp_path / "set")
    assert all(name in shown for name in ("photo [draft].png", "photo [final].png", ":smile:.png"))


def test_text_of_a_model_reaches_the_terminal_as_escapes(tmp_path: Path) -> None:
    path, text = tmp_path / "m.safetensors", "\x1b]0;pwned\x07\x1b[2J\u202e [/nope] [bold]x[/bold]"
    own = cases.model("srlut-x2-8bit")
    artifact.save(path, replace(own, description=replace(own.description, family=text, options={text: text})))
    shown = lutra("info", path)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert r"\x1b]0;pwned\x07\x1b[2J\u202e [/nope] [bold]x[/bold] x2" in shown


def test_compare_makes_the_folder_of_its_sheet(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "hr.png", np.kron(cases.image(16, 16), np.ones((4, 4), np.uint8)))
    lutra("compare", tmp_path / "hr.png", "-m", model, "-o", tmp_path / "new" / "deep" / "s.png")
    assert (tmp_path / "new" / "deep" / "s.png").is_file()


def test_export_as_a_plan(tmp_path: Path) -> None:
    path = saved(tmp_path, "mulut-sdy-x4")
    assert lutra("export", "--format", "plan", path, "-o", tmp_path / "model.lut") == f"{tmp_path / 'model.lut'}\n"
    assert (tmp_path / "model.lut").read_bytes() == to_bytes(artifact.load(path))
    message = lutra("export", "--format", "plan", path, "-o", tmp_path, code=2)
    assert message.count("\n") == 1 and str(tmp_path) in message


def test_export_and_import_keep_padding_rounding_and_task(tmp_path: Path) -> None:
    own = cases.model("spflut-dfc-x1")
    description = replace(own.description, padding="reflect", rounding="branch")
    before = tmp_path / "before.safetensors"
    artifact.save(before, replace(own, description=description, task="denoise", options={"sigma": 25}))
    lutra("export", before, "-o", tmp_path / "npy")
    files = sorted((tmp_path / "npy").glob("*.npy"))
    request = ("import", *files, "--family", "spflut", "--scale", 1, "-o")
    lutra(*request, tmp_path / "after.safetensors")
    assert (tmp_path / "after.safetensors").read_bytes() == before.read_bytes()
    lutra(*request, tmp_path / "other.safetensors", "--sigma", 50, "--padding", "replicate")
    other = artifact.load(tmp_path / "other.safetensors")
    assert (other.options, other.description.padding, other.description.rounding) == (
        {"sigma": 50},
        "replicate",
        "branch",
    )
    next((tmp_path / "npy").glob("*.lutra.json")).unlink()
    how = ("--padding", "reflect", "--rounding", "branch", "--task", "denoise", "--sigma", 25)
    lutra(*request, tmp_path / "told.safetensors", *how)
    told = artifact.load(tmp_path / "told.safetensors")
    assert (told.description.padding, told.description.rounding, told.task) == ("reflect", "branch", "denoise")


def test_import_refuses_a_scale_that_the_task_does_not_have(tmp_path: Path) -> None:
    lutra("export", saved(tmp_path, "mulut-sdy-x4"), "-o", tmp_path / "npy")
    files = sorted((tmp_path / "npy").glob("*.npy"))
    request = ("import", *files, "--family", "mulut", "--scale", 4, "-o", tmp_path / "m.safetensors")
    refused = lutra(*request, "--task", "denoise", "--sigma", 25, code=2)
    assert "scale is 4, expected 1 for task denoise" in refused


def saved(folder: Path, name: str) -> Path:
    path = folder / f"{name}.safetensors"
    artifact.save(path, cases.model(name))
    return path
