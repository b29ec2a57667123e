"""The pipe: y4m in, y4m out, run as a user runs it."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lutra import zoo
from lutra.model import artifact
from lutra.model.families import describe
from lutra.restore.restorer import Restorer
from lutra.video.planes import SAMPLINGS
from lutra.video.y4m import restore_stream
from tests.golden import cases
from tests.unit.engine.layered_models import filled

PIPE = [sys.executable, "-c", "import sys; from lutra.cli import main; sys.exit(main())", "pipe", "-m"]


@pytest.fixture
def restorer() -> Restorer:
    return Restorer(cases.model("mulut-dfc-x2"))


def pipe(model: Path, stream: bytes) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*PIPE, str(model)], input=stream, capture_output=True, check=False, timeout=120)
    assert b"Traceback" not in done.stderr
    return done


def restored(restorer: Restorer, stream: bytes, folder: Path) -> bytes:
    """Restore a stream in this process; return what is written, also before an error."""
    (folder / "in.y4m").write_bytes(stream)
    with (folder / "in.y4m").open("rb", buffering=0) as source, (folder / "out.y4m").open("wb", buffering=0) as target:
        restore_stream(restorer, source, target, threads=1, max_pixels=10**6)
    return (folder / "out.y4m").read_bytes()


def planes(kind: str, width: int, height: int, seed: int) -> list[np.ndarray]:
    noise = np.random.default_rng(seed)
    return [noise.integers(0, 256, shape, np.uint8) for shape in SAMPLINGS[kind].shapes(width, height)]


def stream(header: str, frames: list[list[np.ndarray]], line: str = "FRAME") -> bytes:
    parts = [f"YUV4MPEG2 {header}\n".encode()]
    for frame in frames:
        parts += [f"{line}\n".encode(), *(plane.tobytes() for plane in frame)]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("tag", "kind", "width", "height"),
    [
        ("C420mpeg2", "yuv420p", 8, 6),
        ("", "yuv420p", 7, 5),
        ("C420jpeg", "yuv420p", 9, 4),
        ("C422", "yuv422p", 7, 6),
        ("C444", "yuv444p", 5, 7),
        ("C411", "yuv411p", 11, 3),
        ("Cmono", "gray", 6, 5),
    ],
)
def test_every_plane_is_restored_as_it_is(
    restorer: Restorer, tmp_path: Path, tag: str, kind: str, width: int, height: int
) -> None:
    frames = [planes(kind, width, height, seed) for seed in range(6)]
    shapes = SAMPLINGS[kind].shapes(2 * width, 2 * height)
    expected = [
        [restorer.restore_planes(plane)[:rows, :columns] for plane, (rows, columns) in zip(frame, shapes, strict=True)]
        for frame in frames
    ]
    rest = f"F30000:1001 Ip A4:3 {tag} XCOLORRANGE=FULL".replace("  ", " ")
    given = stream(f"W{width} H{height} {rest}", frames, "FRAME Xa")
    assert restored(restorer, given, tmp_path) == stream(f"W{2 * width} H{2 * height} {rest}", expected, "FRAME Xa")


def test_the_command_restores_from_a_pipe_to_a_pipe(model: Path, restorer: Restorer, tmp_path: Path) -> None:
    given = stream("W31 H22 F25:1", [planes("yuv420p", 31, 22, seed) for seed in range(20)])
    done = pipe(model, given)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout == restored(restorer, given, tmp_path)


def test_a_model_trained_on_luma_keeps_the_chroma(tmp_path: Path) -> None:
    luma = next(m for m in map(artifact.load, zoo.models().values()) if m.trained_planes == "luma")
    frame = planes("yuv420p", 21, 17, 3)
    expected = Restorer(luma).restore_planes(frame[0])
    assert not np.array_equal(expected, frame[0])
    given = stream("W21 H17 F25:1 C420jpeg", [frame])
    assert restored(Restorer(luma), given, tmp_path) == stream("W21 H17 F25:1 C420jpeg", [[expected, *frame[1:]]])


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (b"", "found nothing, expected YUV4MPEG2"),
        (b"RIFF1234", "found b'RIFF1234', expected YUV4MPEG2"),
        (b"YUV4MPEG2 W16 F25:1\n", "found a size of '16' x ''"),
        (b"YUV4MPEG2 W16 H-4 F25:1\n", "found a size of '16' x '-4'"),
        (b"YUV4MPEG2 W99999 H99999 F25:1\n", "--max-pixels 39999200004 allows them"),
        (b"YUV4MPEG2 W16 H16 C420p10\n", "found frames of kind 420p10, expected 8 bits"),
        (b"YUV4MPEG2 W16 H16 C444alpha\n", "found frames of kind 444alpha, expected 8 bits"),
        (b"YUV4MPEG2 W16 H16 It\n", "found interlaced frames (It)"),
        (b"YUV4MPEG2 " + b"X" * 5000, "expected a line of text"),
        (b"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFOAM\nabcd", "found b'FOAM\\n' before frame 2, expected FRAME"),
    ],
)
def test_a_stream_of_another_kind_is_refused(restorer: Restorer, tmp_path: Path, given: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=r"^input: ") as error:
        restored(restorer, given, tmp_path)
    assert found in str(error.value)


def test_whole_frames_before_a_cut_are_restored(model: Path, restorer: Restorer, tmp_path: Path) -> None:
    frames = [planes("yuv420p", 8, 6, seed) for seed in range(3)]
    whole = restored(restorer, stream("W8 H6 F25:1", frames), tmp_path)
    done = pipe(model, stream("W8 H6 F25:1", frames)[:-10])
    assert done.returncode == 2
    assert done.stderr == b"error: input: frame 3 ends after 62 bytes, expected 72\n"
    assert whole.startswith(done.stdout) and done.stdout.count(b"FRAME") == 2


def test_a_closed_player_ends_the_pipe_without_a_word(model: Path) -> None:
    with started(model, subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"YUV4MPEG2 W64 H64 F25:1\n")
        assert process.stdout.read(9) == b"YUV4MPEG2"
        process.stdout.close()
        with pytest.raises(BrokenPipeError):  # as the program before it finds
            for _ in range(1000):
                process.stdin.write(b"FRAME\n" + bytes(64 * 96))
        assert process.stderr.read() == b"" and process.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_pipe_that_waits(model: Path, number: signal.Signals) -> None:
    """Neither the blocked reader nor the blocked writer keeps it alive."""
    read, write = os.pipe()  # nobody reads it
    with started(model, write) as process:
        assert process.stdin and process.stderr
        process.stdin.write(b"YUV4MPEG2 W256 H256 F25:1\nFRAME\n" + bytes(256 * 384))
        full = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ)
        while waiting_in(read) < full - 2 * 4096:  # the restored frame is more than the pipe holds, in pages
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read() == (b"interrupted\n" if number == signal.SIGINT else b"")
    for end in (read, write):
        os.close(end)


def waiting_in(pipe: int) -> int:
    """Return the number of bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@contextmanager
def started(model: Path, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command; its input is not buffered."""
    process = subprocess.Popen(
        [*PIPE, str(model)], bufsize=0, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def test_a_model_of_colours_is_for_pictures(tmp_path: Path) -> None:
    together = filled(describe("shiftlut", 2, {"colours": 3}), np.random.default_rng(0))
    artifact.save(tmp_path / "colours.safetensors", together)
    done = pipe(tmp_path / "colours.safetensors", stream("W4 H4 C420", [planes("yuv420p", 4, 4, 0)]))
    assert done.returncode == 2 and not done.stdout
    assert b"reads red, green and blue together, expected one that restores single planes" in done.stderr
