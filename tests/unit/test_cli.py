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

import numpy as np
import pytest

from lutra import artifact, engine
from lutra.files import temporary_name
from lutra.imaging.files import read_image, write_image
from lutra.models.convert import from_artifact
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
    assert sorted(path.name for path in output.rglob("*.*")) == ["a.png", "c.webp"]
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
    assert names == ["a.jpg", "a.png", "c.jpg", "c.webp"]


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
    cache = {"LUTRA_CACHE": str(tmp_path / "cache")}
    lutra(*request, f"{model.as_uri()}#sha256={checksum}", **cache)
    assert read_image(tmp_path / "out.png").shape == (18, 14)
    assert "its SHA-256 is" in lutra(*request, f"{model.as_uri()}#sha256={'0' * 64}", code=2, **cache)


def test_models_lists_the_zoo(model: Path) -> None:
    from lutra import zoo

    listed = lutra("models")
    assert all(word in listed for word in ("name", "task", "scale", "bytes", "Set5", "licence", *zoo.models()))
    assert zoo.facts(model)[:3] == ("sr", "2", str(model.stat().st_size))


def test_mistakes_get_one_line(model: Path, tmp_path: Path) -> None:
    missing = lutra("restore", "-m", model, "-i", tmp_path / "none.png", "-o", tmp_path / "o.png", code=2)
    assert "none.png" in missing
    (tmp_path / "bad.safetensors").write_text("bad")
    assert "bad.safetensors: not a safetensors file" in lutra("info", tmp_path / "bad.safetensors", code=2)
    unknown = lutra("import", tmp_path / "x.npy", "--family", "lutnet", "--scale", 4, "-o", tmp_path / "m", code=2)
    assert "x.npy" in unknown or "lutnet" in unknown


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


def test_info_says_what_a_model_was_trained_for(denoiser: Path) -> None:
    assert "task denoise sigma 25" in lutra("info", denoiser)


def published(reference: Folder, folder: str, pattern: str) -> list[Path]:
    return sorted(reference(folder).glob(pattern))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("family", "folder", "pattern", "megabytes"),
    [("mulut", "mulut", "LUT_ft*.npy", "4.062 MB"), ("spflut", "spflut/dfc", "*.npy", "2.018 MB")],
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
    from lutra.description import ChannelTaps
    from lutra.layouts import DenseLayout, DiagonalLayout, Layout
    from lutra.models import registry

    def megabytes(family: str, layout: Layout) -> float:
        total = 0
        for _, unit in registry.describe(family, 4).units():
            own = DenseLayout(4) if isinstance(unit.taps, ChannelTaps) else layout
            total += own.entries * unit.values
        return round(total / 2**20, 3)

    assert megabytes("mulut", DenseLayout(4)) == 4.062
    assert megabytes("mulut", DiagonalLayout()) == 0.407
    assert megabytes("spflut", DenseLayout(4)) == 17.284
    assert megabytes("spflut", DiagonalLayout()) == 2.018
