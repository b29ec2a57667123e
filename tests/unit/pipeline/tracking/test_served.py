"""Registered models, loaded and served by MLflow: pixels, requests, bounds."""

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
from tests.servers import free_port, mlflow
from tests.unit.pipeline.tracking.registered import MODEL, NAME, evaluate

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
        from pipeline.tracking.served import ServedModel
    context = SimpleNamespace(artifacts={"model": MODEL}, model_config={"max_pixels": 100, "threads": 1})
    made = ServedModel()
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
