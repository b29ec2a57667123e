"""The GPU's kernels in Triton's interpreter, against the reference."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

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


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_give_what_the_reference_gives() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    for whole_are_equal, values, taps, table in json.loads(done.stdout):
        assert whole_are_equal  # sums of integers over a power of two
        assert values < 1e-4 and taps < 1e-3 and table < 1e-4  # single precision, of levels up to 128
