"""`lutra bench`: what it measures and writes; never how fast anything is."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lutra import engine
from lutra.evaluation import bench, fsrcnn
from lutra.evaluation.synthetic import COLOUR_SYSTEMS, SYSTEMS, synthetic_model, synthetic_photograph
from lutra.imaging.images import write_image
from lutra.model import artifact
from lutra.model.layouts import DenseLayout
from lutra.restore.restorer import Restorer
from tests.golden import cases
from tests.unit.cli.calls import lutra

needs_engine = pytest.mark.skipif(not engine.available(), reason="needs the compiled engine")
FRAME = synthetic_photograph(12, 8)


def names(record: dict[str, object]) -> list[str]:
    results = record["results"]
    assert isinstance(results, list)
    return [row["name"] for row in results]


@needs_engine
def test_without_a_model_the_published_systems_are_measured() -> None:
    record = bench.run({}, FRAME, level="portable", reference=False, rounds=1)
    assert names(record)[0] == bench.BASELINE
    assert set(SYSTEMS) <= set(names(record))
    assert record["tables"] == "synthetic" and record["scale"] == 4 and record["level"] == "portable"
    for row in record["results"]:
        assert row["milliseconds"] > 0 and row["megapixels_per_second"] > 0 and row["runs"] == 2
    assert record["results"][0]["ratio"] == 1
    assert set(record["machine"]) == {"processor", "cores", "system"}
    assert {"lutra", "python", "numpy", "pillow"} <= set(record["versions"])
    assert json.loads(json.dumps(record)) == record


@needs_engine
def test_synthetic_tables_return_the_image() -> None:
    frame = synthetic_photograph(48, 32)
    for system in SYSTEMS.values():
        restored = engine.compile(synthetic_model(*system)).restore(frame)
        means = restored.reshape(32, 4, 48, 4, 3).mean(axis=(1, 3))
        assert np.corrcoef(means.ravel(), frame.ravel())[0, 1] > 0.9
        assert abs(means.mean() - frame.mean()) < 2


@needs_engine
def test_synthetic_models_of_colours_keep_the_image() -> None:
    frame = synthetic_photograph(48, 32)
    for name, model in bench.colour_models().items():
        restored = engine.compile(model).restore(frame)
        assert restored.shape == frame.shape and np.corrcoef(restored.ravel(), frame.ravel())[0, 1] > 0.9, name


@needs_engine
def test_models_that_keep_the_size_are_measured_next_to_an_enlargement_to_it(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    lutra("bench", "--colour", "--size", "24x16", "--rounds", 1, "--no-reference", "--json", output)
    record = json.loads(output.read_text())
    assert record["scale"] == 1 and record["tables"] == "synthetic"
    assert names(record)[0] == bench.BASELINE and set(COLOUR_SYSTEMS) <= set(names(record))
    assert not any("FSRCNN" in name for name in names(record))


@pytest.mark.parametrize("family", ["shiftlut", "tinylut"])
def test_synthetic_vectors_return_about_the_image(family: str) -> None:
    frame = synthetic_photograph(48, 32)
    model = synthetic_model(family, {}, DenseLayout(4))
    means = Restorer(model).restore(frame).reshape(32, 4, 48, 4, 3).mean(axis=(1, 3))
    assert np.corrcoef(means.ravel(), frame.ravel())[0, 1] > 0.8


@needs_engine
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cv2", "onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    record = bench.run({"own": cases.model("mulut-dfc-x2")}, FRAME, rounds=1)
    assert record["absent"] == ["OpenCV bicubic", "FSRCNN", "torch reference"]
    assert names(record) == [bench.BASELINE, "own"]
    assert "FSRCNN" in str(bench.results_table(record).caption)


@needs_engine
def test_the_command_writes_json(tmp_path: Path) -> None:
    model, frame, output = (tmp_path / name for name in ("own.safetensors", "frame.png", "bench.json"))
    artifact.save(model, cases.model("mulut-dfc-x2"))
    write_image(frame, FRAME[..., 0])
    shown = lutra("bench", model, "--image", frame, "--rounds", 1, "--threads", 2, "--json", output)
    assert "megapixels/s" in shown and "24x16" in shown
    record = json.loads(output.read_text())
    assert record["command"].startswith("lutra bench ")
    assert record["frame"] == {"width": 12, "height": 8, "planes": 1} and record["threads"] == 2
    assert record["models"]["own"]["family"] == "mulut" and record["tables"] == "given"
    assert {"own", "own, torch reference"} <= set(names(record))


def test_fsrcnn_enlarges_by_its_scale() -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    for scale in (2, 3, 4):
        session = runtime.InferenceSession(fsrcnn.network(scale), providers=["CPUExecutionProvider"])
        (restored,) = session.run(None, {"image": np.zeros((1, 1, 5, 7), np.float32)})
        assert restored.shape == (1, 1, 5 * scale, 7 * scale)


def test_the_frame_is_a_file_resized_or_synthetic(tmp_path: Path) -> None:
    write_image(tmp_path / "frame.png", FRAME)
    assert np.array_equal(bench.frame(None, tmp_path / "frame.png"), FRAME)
    assert bench.frame("6x5", tmp_path / "frame.png").shape == (5, 6, 3)
    assert np.array_equal(bench.frame("12x8", None), FRAME)
    assert bench.frame(None, None).shape == (180, 320, 3)
    for size in ("320", "0x5", "ax5", "99999x1", "-3x4"):
        with pytest.raises(ValueError, match="expected WIDTHxHEIGHT"):
            bench.frame(size, None)


def test_wrong_arguments_are_refused() -> None:
    models = {"own": cases.model("mulut-dfc-x2")}
    with pytest.raises(ValueError, match="expected at least 1"):
        bench.run(models, FRAME, threads=0)
    with pytest.raises(ValueError, match="own x2, other x4, expected one scale"):
        bench.run(models | {"other": synthetic_model(*SYSTEMS["SR-LUT"])}, FRAME)
