"""The first import of torch, each time in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

WATCH = """
import os, sys

class AtImport:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)  # what follows would only take time

sys.meta_path.insert(0, AtImport())
"""
RUN = """
import sys
import numpy as np
import torch
from lutra.model import artifact
from lutra.reference.convert import from_artifact, to_artifact
from lutra.restore import sources
from lutra.training.fitting import Settings, fit
from lutra.training.pairs import Images

model = from_artifact(artifact.load(sources.find_model("mulut-dfc-x4")))
image = torch.arange(0, 256, 4, dtype=torch.uint8).reshape(1, 1, 8, 8)
assert model.restore(image).shape == (1, 1, 32, 32)
model(image.float()).square().mean().backward()
assert all(parameter.grad is not None for parameter in model.parameters())
to_artifact(model)
images = Images.of([("a", np.zeros((8, 8), np.uint8), np.zeros((32, 32), np.uint8))])
fit(model, images, images, Settings(steps=2, batch=2, patch=4))
print([name for name in ("sympy", "torch._dynamo", "torch._inductor") if name in sys.modules])
"""


def python(code: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | variables
    command = [sys.executable, "-W", "error", "-c", code]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_restoring_gradients_and_training_load_no_compiler_of_torchs() -> None:
    assert python(RUN) == "[]"


@pytest.mark.parametrize(
    "first",
    [
        "import lutra.reference.simplex",
        "import lutra.training.fitting",
        "from lutra.restore import restorer, running; running.torch_run(restorer.load('srlut-x4').artifact, 'cpu')",
        "import pipeline, torch",
        "import tests.conftest, torch",
    ],
)
def test_waiting_is_passive_before_torch_is_loaded(first: str) -> None:
    assert python(WATCH + first) == "PASSIVE"


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_chose_about_waiting_stays(name: str) -> None:
    found = python("import os, lutra.reference; print(os.environ.get('OMP_WAIT_POLICY'))", **{name: "1"})
    assert found == ("1" if name == "OMP_WAIT_POLICY" else "None")


def test_after_torch_was_loaded_nothing_changes() -> None:
    assert python("import os, torch, lutra.reference; print(os.environ.get('OMP_WAIT_POLICY'))") == "None"
