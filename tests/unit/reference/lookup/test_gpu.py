"""The GPU's kernels in Triton's interpreter, against the reference."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

COMPARE = """
import json, torch
from lutra.reference import lookup
from lutra.model.layouts import DenseLayout, DiagonalLayout

layouts = [DenseLayout(4), DiagonalLayout(), DiagonalLayout(5, 1, 6, "xyz"), DiagonalLayout(5, 2, 7, "xy")]
found = []
for layout, values in zip(layouts + layouts, (1, 2, 9, 16, 16, 9, 2, 1), strict=True):
    generator = torch.Generator().manual_seed(values)
    near = torch.rand(60, 1, generator=generator) * 255 + torch.randn(60, 4, generator=generator) * 12
    whole = torch.randint(0, 256, (100, 4), generator=generator).float()
    whole[:30] = whole[:30, :1] + torch.tensor([0, 16, 32, -32])  # nodes and edges of the diagonal part
    taps = torch.cat([whole.clamp(0, 255), near.clamp(0, 255), torch.rand(41, 4, generator=generator) * 256])
    table = torch.randint(-128, 128, (layout.entries, values), generator=generator).float()
    weight = torch.randn(len(taps), values, generator=generator)
    results = []
    for name in ("gpu", "reference"):
        with lookup.using(name):
            points, entries = taps.clone().requires_grad_(), table.clone().requires_grad_()
            result = lookup.lookup(points, entries, layout)
            results.append((result, *torch.autograd.grad((result * weight).sum(), (points, entries))))
    worst = [float((one - other).abs().max()) for one, other in zip(*results, strict=True)]
    found.append([torch.equal(results[0][0][:100], results[1][0][:100]), *worst])
print(json.dumps(found))
"""

LAYERS = """
import json, numpy, torch
from lutra.model import families
from lutra.reference import lookup
from lutra.reference.convert import from_artifact
from lutra.reference.lookup import gpu_sums
from tests.unit.reference.test_layers_of_papers import filled

gpu_sums.PARTS = 2  # the interpreter takes its time for every one
found = []
for colours, blocks in ((1, 2), (3, 1)):
    offsets = [[[0, 1], [2, 0], [-1, -3], [0, 0]]] * blocks
    options = {"blocks": blocks, "channels": 4, "colours": colours, "offsets": offsets}
    described = families.describe("shiftlut", 1, options)
    model = from_artifact(filled(described, numpy.random.default_rng(colours), rounded=False, steps=True))
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, colours, 3, 5), generator=generator).float()
    weight = torch.randn(image.shape, generator=generator)
    results = []
    for name in ("gpu", "reference"):
        with lookup.using(name):
            result = model(image)
            results.append((result, torch.autograd.grad((result * weight).sum(), list(model.parameters()))))
    pairs = list(zip(results[0][1], results[1][1], strict=True))
    worst = max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)
    found.append([torch.equal(results[0][0], results[1][0]), worst])
print(json.dumps(found))
"""


def run(script: str) -> Any:
    """Return what a script prints as JSON, with Triton's interpreter."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_layers_sum_and_learn_as_in_the_reference() -> None:
    for equal, worst in run(LAYERS):
        assert equal  # sums over a power of two
        assert worst < 1e-5  # single precision, next to the largest gradient of a layer


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_give_what_the_reference_gives() -> None:
    for whole_are_equal, values, taps, table in run(COMPARE):
        assert whole_are_equal  # sums of integers over a power of two
        assert values < 1e-4 and taps < 1e-3 and table < 1e-4  # single precision, of levels up to 128
