"""Restorers in other processes: joblib, multiprocessing by spawn and by fork, torch's DataLoader; and as copies."""

import copy
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra import engine
from lutra.restore.restorer import Restorer
from tests.golden import cases

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_engine = pytest.mark.skipif(not engine.available(), reason="needs the compiled engine")
HANGS = 600
"""Seconds after which a process has hung, and is not merely slow on a busy machine."""

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 40, 30, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer(cases.model("mulut-dfc-x2"), name="mulut")


@pytest.fixture(scope="module")
def expected(restorer: Restorer) -> NDArray[np.uint8]:
    """Return what the restorer makes with several threads: the process has started the pool's."""
    return np.stack([restorer.restore(image, threads=3) for image in IMAGES])


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy], ids=lambda how: how.__name__)
def test_copies_restore_alike(
    restorer: Restorer, expected: NDArray[np.uint8], how: Callable[[Restorer], Restorer]
) -> None:
    twin = how(restorer)
    assert repr(twin) == repr(restorer) and twin.device == restorer.device
    assert np.array_equal(twin.restore(IMAGES[0], threads=3), expected[0])


@pytest.mark.parametrize("start", ["spawn", pytest.param("fork", marks=needs_fork)])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_multiprocessing(restorer: Restorer, expected: NDArray[np.uint8], start: str) -> None:
    with multiprocessing.get_context(start).Pool(2) as pool:
        assert np.array_equal(pool.map_async(restorer.restore, IMAGES).get(HANGS), expected)


def test_joblib(restorer: Restorer, expected: NDArray[np.uint8]) -> None:
    joblib = pytest.importorskip("joblib", reason="needs joblib")
    work = joblib.delayed(restorer.restore)
    made = joblib.Parallel(n_jobs=2, timeout=HANGS)(work(image, threads=2) for image in IMAGES)
    assert np.array_equal(made, expected)


class Restored:
    """A data set of torch that restores what it gives."""

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        return self.restorer.restore(IMAGES[number], threads=2)


@pytest.mark.parametrize("start", ["spawn", pytest.param("fork", marks=needs_fork)])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # where there is one processor
def test_workers_of_a_dataloader(restorer: Restorer, expected: NDArray[np.uint8], start: str) -> None:
    data = pytest.importorskip("torch.utils.data", reason="needs torch")
    loader = data.DataLoader(
        Restored(restorer), batch_size=2, num_workers=2, multiprocessing_context=start, timeout=HANGS
    )
    assert np.array_equal(np.concatenate([batch.numpy() for batch in loader]), expected)


@needs_fork
@pytest.mark.parametrize("backend", [pytest.param("engine", marks=needs_engine), "torch"])
def test_a_fork_after_threads_were_used_does_not_hang(tmp_path: Path, backend: str) -> None:
    """The threads of the parent, of the engine's pool or of OpenMP, do not exist in the child."""
    pytest.importorskip("torch", reason="needs torch")
    code = f"""
import os, signal, sys, warnings
import numpy as np, lutra
from lutra import engine
if {backend!r} == "torch":
    warnings.simplefilter("ignore")
    engine.available = lambda: False
restorer = lutra.load("dn-25")
assert restorer.backend == {backend!r}
image = np.random.default_rng(0).integers(0, 256, (130, 120, 3), np.uint8)
before = restorer.restore(image, threads=3)
child = os.fork()
if not child:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm({HANGS // 4})
    os._exit(not np.array_equal(restorer.restore(image, threads=3), before))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, timeout=HANGS)
    assert done.returncode == 0
