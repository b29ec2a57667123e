"""A set of DIV2K's size, 2.2 gigapixels, is trained on within 2 GiB; preparation needs no more for more images.

The peak is what the system counts as resident, which holds the pages of memory-mapped files that were touched too.
"""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workflow.project import SOURCE

GIB = 1 << 30
IMAGES, LR, SCALE = 800, (3, 339, 510), 4
BLACK = {
    414_936_000: "bf10e90e5c8768ef9de73dd6f17c0e9080ab2a777bf41cd7de07aef5f1aa7b48",
    6_638_976_000: "bdba11f2dd0a2a58a7495f15a5ffe896290def29da274ce45166277419451382",
}
"""The SHA-256 of as many zeros, which take four seconds to hash; training hashes the files and compares."""
PEAK = "\nimport resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"  # Linux counts in KiB

PREPARE = """
import sys
from pathlib import Path
from pipeline.running.job import Job
from pipeline.stages import prepare
from pipeline.params import Params
data = {"train": sys.argv[1], "evaluate": [sys.argv[2]], "validate": 1}
tasks = {"x4": {"task": "sr", "scale": 4}}
params = Params.model_validate({"data": data, "tasks": tasks, "tracking": {"enabled": False}, "experiments": {}})
prepare.run(Job.of("prepare", params, Path(sys.argv[3]), task="x4"))
"""
TRAIN = """
import sys
from pathlib import Path
from pipeline.stages import finetune; from pipeline.running import needs; from pipeline.running.job import Job
from lutra.training.sampler import PatchSampler
from lutra.training.pairs import Stacked
from pipeline.data.packed import PackedImages
from pipeline.params import Params
from lutra.model import artifact; from lutra.evaluation import protocols
from lutra.training.tabulate import to_tables
from lutra.model.layouts import DenseLayout
from lutra.model import families
from lutra.reference.build import build_model
from lutra.reference.convert import to_artifact
root = Path(sys.argv[1])
images = PackedImages(root / "prepare/x4/train")
sampler = PatchSampler(images, 48, 16, seed=0)
for step in range(100):
    degraded, target = sampler.batch_at(step)
assert degraded.shape == (16, 1, 48, 48) and target.shape == (16, 1, 192, 192)
batches = Stacked(images)
for number in range(0, len(batches), 100):
    degraded, target = batches[number]
assert len(batches) == len(images) == 800
fit = {"steps": 3, "batch": 16, "patch": 48, "validate_every": 3, "coarse": [6]}
block = {"family": "srlut", "task": "x4", "model": {}, "network": {}, "table": {}, "train": {}, "finetune": fit}
params = Params.model_validate(
    {
        "data": {"train": "photos", "evaluate": ["samples"], "validate": 4},
        "tasks": {"x4": {"task": "sr", "scale": 4}},
        "tracking": {"enabled": False},
        "experiments": {"a": block | {"evaluate": {}}},
    }
)
needed = needs.of_stage("finetune", params, root, "x4", "a")
needs.check(needed, "finetune a", root)
tables = to_tables(build_model(families.describe("srlut", 4, {}), families.network_spec("srlut")), DenseLayout(4))
source = root / "export/a/model.safetensors"
artifact.save(source, to_artifact(tables, task="sr", options={}, provenance={}))
finetune.run(Job.of("finetune", params, root, experiment="a"))
print(needed.memory)
"""


def run(code: str, *arguments: object) -> list[int]:
    """The numbers that the code printed, and the peak of its resident memory in bytes."""
    command = [sys.executable, "-c", code + PEAK, *map(str, arguments)]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def sparse(folder: Path, count: int) -> None:
    """Prepared images, all black, that take no room on the disk."""
    folder.mkdir(parents=True)
    size = count * math.prod(LR)
    digests = {}
    for name, length in (("input", size), ("target", size * SCALE**2)):
        with (folder / f"{name}.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (length,)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + length)
        digests[f"{name}.npy"] = BLACK.get(length) or hashlib.sha256(bytes(length)).hexdigest()
    images = [{"name": f"{number:04}.png", "input_shape": LR} for number in range(count)]
    (folder / "index.json").write_text(json.dumps({"scale": SCALE, "images": images, "sha256": digests}))


def test_a_set_of_2_gigapixels_is_trained_on_within_2_gib(tmp_path: Path) -> None:
    data = tmp_path / "prepare" / "x4"
    sparse(data / "train", IMAGES)
    sparse(data / "validate", 4)
    (data / "index.json").write_text("{}")
    size = (data / "train" / "target.npy").stat().st_size
    if (data / "train" / "target.npy").stat().st_blocks * 512 > size / 2:
        pytest.skip("needs a file system with sparse files")
    assert size // 3 > 2.2e9
    expected, peak = run(TRAIN, tmp_path)
    print(f"peak {peak / GIB:.2f} GiB, estimated {expected / GIB:.2f} GiB")
    assert peak < 2 * GIB


def test_preparation_needs_no_more_memory_for_more_images(tmp_path: Path) -> None:
    row, column = np.mgrid[0:1200, 0:1600]
    peaks = []
    for count in (5, 20):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            planes = [(column + 20 * number) // 8, row // 6, (row + column) // 16]
            Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(folder / f"{number}.png", compress_level=1)
        peaks += run(PREPARE, folder, tmp_path / "5", tmp_path / f"root{count}")
    print(f"peaks {[peak >> 20 for peak in peaks]} MiB")
    growth, image = peaks[1] - peaks[0], 1200 * 1600 * 3
    assert growth < 3 * image  # of 15 images more; which of a few are in memory at once is chance
