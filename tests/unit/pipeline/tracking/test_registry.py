"""Evaluated models in MLflow: versions, the best of them, and that they restore as the library does."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

import lutra
from pipeline import tracking
from pipeline.params import TaskParams, TrackingParams
from pipeline.reporting import logged
from pipeline.tracking import registry
from tests.servers import free_port, mlflow

NAME = "lutra-sr-x4"
MODEL = Path(lutra.__file__).parent / "zoo" / "srlut-x4.safetensors"

LOADED = """
import sys
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/lutra-sr-x4@best")
images = pandas.DataFrame({"image": [open(path, "rb").read() for path in sys.argv[1:]]})
for path, restored in zip(sys.argv[1:], model.predict(images)["image"]):
    open(path + ".restored", "wb").write(restored)
assert model.metadata.signature.inputs.input_names() == ["image"]
example = model.predict(model.input_example)["image"][0]
assert example.startswith(bytes([137]) + b"PNG")
print(model.unwrap_python_model().restorer.scale)
"""


def evaluate(uri: str, model: Path, score: float, table_bytes: int = 100, scored: str = "samples/psnr_y") -> None:
    """What the stage logs of a model that scores so."""
    tags = {"score": f"{score:.6f}", "scored": scored, "table_bytes": str(table_bytes), "family": "srlut"}
    settings = TrackingParams(uri=uri)
    with tracking.stage_run(
        settings, stage="evaluate", experiment=model.stem, root=Path("runs/dvc"), params={"family": "srlut"}
    ) as run:
        run.model(model, NAME, tags, {"samples/psnr_y_finetuned": score, "table_bytes": table_bytes})


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def best(uri: str) -> str:
    found = client(uri).get_model_version_by_alias(NAME, "best")
    return str(found.tags["experiment"])


def test_versions_without_a_finite_score_do_not_compete() -> None:
    def version(number: int, **tags: str) -> Any:
        return SimpleNamespace(version=str(number), tags={"scored": "a/psnr", **tags})

    good = version(3, score="30.1", table_bytes="9")
    others = [
        version(1, score="inf", table_bytes="1"),
        version(2, score="99"),  # a tag that anybody may set
        version(4, table_bytes="1"),
        version(5, score="high", table_bytes="1"),
        version(6, score="30.1", table_bytes="10"),
    ]
    assert registry.best_of([*others, good], "a/psnr") is good
    assert registry.best_of(others[1:4], "a/psnr") is None


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.safetensors" for name in ("first", "second", "third")]
    for path in paths:
        path.write_text(path.stem)
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, NDArray[np.uint8]]:
    """Gray, colour and transparent PNG files, by path."""
    rng = np.random.default_rng(0)
    shapes = {"gray": (13, 17), "colour": (12, 16, 3), "transparent": (9, 11, 4)}
    made = {str(tmp_path / f"{name}.png"): rng.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()}
    for path, pixels in made.items():
        Image.fromarray(pixels).save(path)
    return made


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.array(image)


def test_an_infinite_score_of_an_older_version_is_never_the_best() -> None:
    def version(number: int, score: str) -> Any:
        return SimpleNamespace(version=str(number), tags={"score": score, "scored": "a/psnr_y", "table_bytes": "1"})

    versions = [version(1, "inf"), version(2, "30.5"), version(3, "nan"), version(4, "31.0")]
    found = registry.best_of(versions, "a/psnr_y")
    assert found is not None and found.version == "4"
    alone = registry.best_of(versions[:1], "a/psnr_y")
    assert alone is not None and alone.version == "1"


def test_best_moves_to_the_best_score_and_among_equals_to_the_fewer_bytes(uri: str, models: list[Path]) -> None:
    first, second, third = models
    evaluate(uri, first, 29.5, 200)
    assert best(uri) == "first"
    evaluate(uri, second, 29.4)
    assert best(uri) == "first"
    evaluate(uri, third, 29.5, 100)
    assert best(uri) == "third"
    versions = client(uri).search_model_versions(f"name = '{NAME}'")
    assert {version.tags["experiment"]: version.version for version in versions} == {
        "first": 1,
        "second": 2,
        "third": 3,
    }
    assert all(version.tags["root"] == "runs/dvc" for version in versions)
    evaluate(uri, second, 20.0, scored="Set5/psnr_y")
    assert best(uri) == "second"  # scores on other images are not compared with these


def test_the_same_model_evaluated_again_stays_one_version_with_the_new_score(uri: str, models: list[Path]) -> None:
    first, second, _ = models
    evaluate(uri, first, 29.5)
    evaluate(uri, second, 29.4)
    evaluate(uri, first, 29.3)
    versions = client(uri).search_model_versions(f"name = '{NAME}'")
    assert {version.tags["experiment"]: version.tags["score"] for version in versions} == {
        "first": "29.300000",
        "second": "29.400000",
    }
    assert best(uri) == "second"
    experiment = client(uri).get_experiment_by_name("lutra").experiment_id
    logged = client(uri).search_logged_models([experiment])
    assert len(logged) == 2
    assert all(model.status.value == "READY" for model in logged)
    figures = {model.name: {metric.value for metric in model.metrics if "psnr" in metric.key} for model in logged}
    assert figures == {"first": {29.5, 29.3}, "second": {29.4}}
    runs = client(uri).search_runs([experiment])
    assert all(run.data.metrics.keys() == {"samples/psnr_y_finetuned", "table_bytes"} for run in runs)


def test_what_is_logged_holds_no_pickle_and_names_no_package_that_is_not_on_pypi(uri: str) -> None:
    evaluate(uri, MODEL, 29.8)
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlruns"
    (description,) = folder.rglob("MLmodel")
    files = {path.relative_to(description.parent).as_posix() for path in description.parent.rglob("*.*")}
    assert files == {
        "artifacts/srlut-x4.safetensors",
        "conda.yaml",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "served.py",
        "serving_input_example.json",
    }
    required = (description.parent / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in required] == ["mlflow", "numpy", "pillow", "safetensors"]


def test_the_best_model_is_loaded_and_served_with_the_librarys_pixels(
    uri: str, tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]
) -> None:
    evaluate(uri, MODEL, 29.8)
    restorer = lutra.load(MODEL)
    expected = {path: restorer.restore(image) for path, image in pictures.items()}

    environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", LOADED, *pictures]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
    for path, restored in expected.items():
        assert np.array_equal(pixels(Path(f"{path}.restored").read_bytes()), restored)

    port = free_port()
    arguments = ["models", "serve", "-m", f"models:/{NAME}@best", "--env-manager", "local", "--port", str(port)]
    encoded = [base64.b64encode(Path(path).read_bytes()).decode() for path in pictures]
    records = [{"image": text} for text in encoded]
    with mlflow(arguments, port, "ping", tmp_path, **environment):
        for body in (
            {"dataframe_records": records},
            {"dataframe_split": {"columns": ["image"], "data": [[text] for text in encoded]}},
            {"inputs": {"image": encoded}},
            {"instances": records},
        ):
            status, answer = ask(port, body)
            assert status == 200, answer
            for row, restored in zip(answer["predictions"], expected.values(), strict=True):
                assert np.array_equal(pixels(base64.b64decode(row["image"])), restored)
        status, answer = ask(port, {"dataframe_records": [{"image": base64.b64encode(b"no image").decode()}]})
        assert status == 400
        assert "image 0: found none of the formats PNG, JPEG" in answer["message"]


@cache
def restoration() -> tuple[Any, Any]:
    """A model as it is served, and the context that MLflow calls it with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of the class's type hints
        from pipeline.tracking.served import Restoration
    context = SimpleNamespace(artifacts={"model": MODEL}, model_config={"max_pixels": 100, "threads": 1})
    made = Restoration()
    made.load_context(context)
    return made, context


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=6)),
    st.sampled_from(["\n", " ", "\r\n"]),
)
def test_pictures_in_plain_numbers_are_restored_as_files_and_as_base64(gray: NDArray[np.uint8], between: str) -> None:
    height, width = gray.shape
    numbers = [width, height, 255, *gray.flat]
    content = ("P2\n" + between.join(str(number) for number in numbers) + "\n").encode()
    served, context = restoration()
    frame = pd.DataFrame({"image": [content, base64.b64encode(content)]})
    expected = served.restorer.restore(gray)
    for restored in served.predict(context, frame)["image"]:
        assert np.array_equal(pixels(restored), expected)


def test_images_in_work_at_once_are_bounded_together() -> None:
    """Many small requests and one of 1000 pixels where 100 may be in work: the large one comes alone."""
    room = restoration()[0].room
    most, inside, seen, changes = 100, [0], [], threading.Lock()

    def request(pixels: int) -> None:
        with room.taken(pixels, most):
            with changes:
                inside[0] += pixels
                seen.append(inside[0])
            time.sleep(0.005)
            with changes:
                inside[0] -= pixels

    sizes = [30] * 8 + [1000] + [60] * 8
    with ThreadPoolExecutor(len(sizes)) as pool:
        list(pool.map(request, sizes))
    assert len(seen) == len(sizes) and inside == [0]
    assert sorted(total for total in seen if total > most) == [1000]
    assert max(total for total in seen if total <= most) > 60  # several small ones together


def test_a_request_leaves_no_folder_and_frees_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, context = restoration()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    content = io.BytesIO()
    Image.new("L", (6, 5)).save(content, "PNG")
    during: list[list[Path]] = []
    restore = served.restorer.restore
    monkeypatch.setattr(
        served.restorer, "restore", lambda *a, **k: (during.append(list(tmp_path.iterdir())), restore(*a, **k))[1]
    )
    served.predict(context, pd.DataFrame({"image": [content.getvalue()]}))
    assert during == [[]]
    for broken in (b"nothing", content.getvalue()[:40]):
        with pytest.raises(Exception, match="image 0: found"):
            served.predict(context, pd.DataFrame({"image": [broken]}))
    assert list(tmp_path.iterdir()) == [] and served.room._used == 0 and not served.room._waiting


def ask(port: int, body: dict[str, Any]) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ({"task": "sr", "scale": 4}, "lutra-sr-x4"),
        ({"task": "sr", "scale": 2, "bicubic": "uint8"}, "lutra-sr-x2"),
        ({"task": "sr", "scale": 2, "bicubic": "double"}, "lutra-sr-x2-bicubicdouble"),
        ({"task": "denoise", "sigma": 25}, "lutra-denoise-sigma25"),
        ({"task": "denoise", "sigma": [5, 12.5]}, "lutra-denoise-sigma5-12.5"),
        ({"task": "deblock", "quality": 10}, "lutra-deblock-quality10"),
        ({"task": "deblur"}, "lutra-deblur"),
        ({"task": "deblur", "length": [5, 10], "sigma": 1}, "lutra-deblur"),
        ({"task": "deblur", "length": [5, 15], "sigma": 1}, "lutra-deblur-length5-15"),
        ({"task": "deblur", "length": [5, 10], "sigma": 1, "inertia": 0.2}, "lutra-deblur-inertia0.2"),
        ({"task": "deblur", "length": 9, "pairs": True}, "lutra-deblur-length9-pairs"),
    ],
)
def test_models_that_do_the_same_are_registered_under_one_name(task: dict[str, Any], name: str) -> None:
    assert logged.registered_name(TaskParams(**task)) == name
