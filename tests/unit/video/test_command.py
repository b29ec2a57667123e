"""`lutra restore` of videos, run as a user runs it."""

import os
import pty
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

av = pytest.importorskip("av", reason="needs PyAV, the extra `video`")

from lutra import zoo  # noqa: E402
from lutra.cli.videos import Wishes, are_videos  # noqa: E402
from lutra.cli.videos import _seconds as seconds_of  # noqa: E402
from lutra.model import artifact  # noqa: E402
from tests.golden import cases  # noqa: E402
from tests.unit.cli.calls import run  # noqa: E402
from tests.unit.video.clips import Clip, read, write  # noqa: E402

NONE = Wishes()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    artifact.save(path, cases.model("mulut-dfc-x2"))
    return path


def command(*arguments: object) -> list[str]:
    code = "import sys; from lutra.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, "restore", *map(str, arguments)]


def lutra(*arguments: object, before: str = "", code: int = 0) -> Any:
    done = run("restore", *arguments, before=before)
    assert done.returncode == code, done.stderr
    return done


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_clip_is_restored_and_counted(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(times=tuple(range(30)), size=(32, 32), sound=True))
    options = ["--start", "0.4", "--frames", 12, "--crf", 30, "--threads", 1]
    done = lutra("-m", model, "-i", tmp_path / "in.mkv", "-o", tmp_path / "out.mp4", *options)
    assert done.stdout.startswith(f"{tmp_path / 'out.mp4'}: 12 frames, ") and done.stderr == ""
    assert read(tmp_path / "out.mp4")[1] == [Fraction(number, 25) for number in range(12)]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert len(container.streams.audio) == 1


def test_a_model_is_chosen_by_task(tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(times=(0, 1), size=(32, 32)))
    done = lutra("-i", tmp_path / "in.mkv", "-o", tmp_path / "out.mkv", "--task", "denoise")
    assert done.stderr == f"model: {zoo.choose('denoise').name}\n" and ": 2 frames, " in done.stdout


def test_several_clips_go_into_a_folder_and_broken_ones_are_reported(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "a.mkv")
    (tmp_path / "b.mkv").write_bytes(b"no video")
    write(tmp_path / "c.mkv")
    inputs = [tmp_path / f"{name}.mkv" for name in "abc"]
    done = lutra("-m", model, *inputs, "-o", tmp_path / "out", "--codec", "ffv1", code=1)
    assert files(tmp_path / "out") == {"a.mkv", "c.mkv"}
    assert done.stderr.count("\n") == 1 and "b.mkv: cannot be read as a video" in done.stderr
    lutra("-m", model, *inputs, "-o", tmp_path / "out", "--no-overwrite", code=2)


def test_the_bar_shows_frames_a_second_and_the_time_left(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(times=tuple(range(100)), size=(64, 64)))
    leader, follower = pty.openpty()
    call = command("-m", model, "-i", tmp_path / "in.mkv", "-o", tmp_path / "out.mkv", "--threads", 1)
    process = subprocess.Popen(call, stderr=follower, stdout=subprocess.DEVNULL)
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait(60) == 0
    assert b"in.mkv" in shown and b"frames/s" in shown and b"0:00:" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_was_there(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path / "in.mkv", Clip(times=tuple(range(400)), size=(64, 64)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "in.mkv").write_bytes(b"before")
    call = command("-m", model, "-i", tmp_path / "in.mkv", "-o", tmp_path / "out", "--codec", "ffv1")
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not any(path.stat().st_size > 10**5 for path in tmp_path.glob("out/.*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    assert files(tmp_path / "out") == {"in.mkv"} and (tmp_path / "out" / "in.mkv").read_bytes() == b"before"


def test_a_full_disk_leaves_nothing(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(times=tuple(range(60)), size=(96, 96)))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))"
    target = tmp_path / "out" / "out.mkv"
    done = lutra("-m", model, "-i", tmp_path / "in.mkv", "-o", target, before=limit, code=2)
    assert done.stderr == f"error: [Errno 27] File too large: '{target}'\n" and files(tmp_path / "out") == set()


def test_without_pyav_the_error_tells_what_to_install(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.mkv").touch()
    missing = "sys.modules['av'] = None"
    done = lutra("-m", model, "-i", tmp_path / "in.mkv", "-o", tmp_path / "out.mkv", before=missing, code=2)
    assert done.stderr.startswith("error: videos need PyAV, which is not installed; `pip install")


def test_options_for_the_wrong_kind_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.mkv").touch()
    done = lutra("-m", model, "-i", tmp_path / "in.mkv", "-o", tmp_path / "o.mkv", "--quality", 90, code=2)
    assert "found --quality, which is for images" in done.stderr
    done = lutra("-m", model, "-i", tmp_path / "in.mkv", "-o", "-", code=2)
    assert "`lutra pipe` takes and gives frames" in done.stderr
    with pytest.raises(Exception, match="found --crf, which is for videos"):
        are_videos([tmp_path / "a.png"], Wishes(crf=3))
    with pytest.raises(ValueError, match="found a video among other inputs"):
        are_videos([tmp_path / "a.png", tmp_path / "in.mkv"], NONE)
    assert are_videos([tmp_path / "in.MKV"], NONE) and not are_videos([tmp_path / "a.png"], NONE)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1:30", 90), ("0:01:30.5", Fraction(181, 2)), ("100:00:00", 360000)]
)
def test_times(text: str, seconds: Fraction) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "a", "1.5:00"])
def test_texts_that_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="expected seconds or"):
        seconds_of(text)
