"""The compiled core in processes of its own: at their end, in forked children, under signals; threads it keeps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lutra import engine

pytestmark = pytest.mark.skipif(not engine.available(), reason="the compiled engine was not built")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_timer = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signal.setitimer")

HANGS = 600
"""Seconds after which a process has hung, and is not merely slow on a busy machine."""
CALLS = """
import os, signal, sys, threading, time
import numpy as np
from lutra.model import artifact; from lutra import engine; from lutra.restore import sources
from lutra._core import _lutra as core

runner = engine.compile(artifact.load(sources.find_model("spf-light-deblur")), level="portable")
ensemble = core.Ensemble(1, 1, 1, 1, 0, False, -1)
ensemble.channel([0, 0, 0, 0], [8, 0, 0, 0])
table = np.zeros((16, 1), np.float32)
big, small = (np.zeros((1, side, side), np.float32) for side in (3000, 8))

def restore(rows=200, threads=2):
    runner.restore(np.zeros((rows, 8, 1), np.uint8), threads=threads)

def forward(plane=big):
    ensemble.forward([plane], [table], [None], [None], np.zeros((*plane.shape, 1), np.float32), 2)

def gather(count=20000):
    numbers = np.zeros(count, np.int64)
    patches = np.zeros((count, 32, 32), np.uint8)
    core.gather_patches(np.zeros(4096, np.uint8), numbers, numbers + 64, numbers, patches, 2)

def repeat(call):
    def work():
        while True:
            call()
    threading.Thread(target=work, daemon=True).start()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CALLS + code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.mark.parametrize("call", ["restore", "forward", "gather"])
def test_a_process_ends_while_a_daemon_thread_computes(call: str) -> None:
    ended = run(f"repeat({call}); time.sleep(0.3)")
    assert (ended.returncode, ended.stderr) == (0, "")


@needs_fork
@pytest.mark.parametrize(
    ("busy", "in_child"),
    [
        ("lambda: restore(32, threads=32)", "restore(32, threads=32)"),  # so many that memory is freed under the lock
        ("forward", "forward(small)"),
        ("gather", "gather(10)"),
    ],
    ids=["restore", "forward", "gather"],
)
def test_a_child_forked_while_other_threads_compute_computes_too(busy: str, in_child: str) -> None:
    ended = run(f"""
{in_child}
for _ in range(4):
    repeat({busy})
for _ in range(40):
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm({HANGS // 4})
        {in_child}
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        print("a child ended with", status)
        break
    time.sleep(0.01)
sys.stdout.flush()
os._exit(0)
""")
    assert (ended.returncode, ended.stdout) == (0, "")


@needs_timer
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(40000, 100), (100, 40000), (2000, 2000)], ids=str)
def test_a_signal_whose_handler_raises_ends_a_restore(threads: int, shape: tuple[int, int]) -> None:
    """An alarm stands for Ctrl-C. A restore that runs to its end leaves no pixel as it was."""
    ended = run(f"""
def interrupt(*_):
    raise KeyboardInterrupt

image = np.zeros((*{shape}, 3), np.uint8)
out = np.full(image.shape, 77, np.uint8)
assert (runner.restore(image[:50, :50]) != 77).all()
signal.signal(signal.SIGALRM, interrupt)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    runner.restore(image, out=out, threads={threads})
except KeyboardInterrupt:
    print("interrupted", (out == 77).mean() > 0.1)
restore()
print("works as before")
""")
    assert (ended.stdout, ended.stderr) == ("interrupted True\nworks as before\n", "")


@needs_timer
def test_a_signal_whose_handler_returns_changes_nothing() -> None:
    ended = run("""
calls = []
signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
image = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
found = runner.restore(image, threads=2)
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(calls) > 0, np.array_equal(found, runner.restore(image, threads=1)))
""")
    assert (ended.stdout, ended.stderr) == ("True True\n", "")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of threads")
def test_no_more_threads_are_kept_than_the_machine_has_processors() -> None:
    ended = run("""
restore()
before = len(os.listdir("/proc/self/task"))  # with one of the pool's
restore(rows=600, threads=1000)
print(len(os.listdir("/proc/self/task")) - before <= max(4, os.cpu_count()) - 2)
""")
    assert (ended.stdout, ended.stderr) == ("True\n", "")
