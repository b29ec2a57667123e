"""The benchmark of videos: its record, its clip, and what it refuses."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs PyAV, the extra `video`")

from lutra.model import artifact  # noqa: E402
from lutra.restore.restorer import Restorer  # noqa: E402
from lutra.video import rates  # noqa: E402
from tests.golden import cases  # noqa: E402
from tests.unit.cli.calls import lutra  # noqa: E402
from tests.unit.video.clips import Clip, read, write  # noqa: E402


def test_the_command_writes_rates_and_memory(tmp_path: Path) -> None:
    model, output = tmp_path / "own.safetensors", tmp_path / "rates.json"
    artifact.save(model, cases.model("mulut-dfc-x2"))
    options = ["--size", "64x48", "--frames", 6, "--threads", 1, "--threads", 2, "--codec", "mpeg4"]
    shown = lutra("bench-video", model, *options, "--memory", "--json", output)
    assert "64x48 to 128x96" in shown and "6 frames: at most" in shown and "60 frames: at most" in shown
    record = json.loads(output.read_text())
    assert record["command"].startswith("lutra bench-video ")
    names = ["own.safetensors", "FFmpeg scale=bicubic", "FFmpeg scale=lanczos"]
    assert [(row["name"], row["threads"]) for row in record["results"]] == [(name, n) for n in (1, 2) for name in names]
    assert all(row["alone"] > 0 and row["whole"] > 0 for row in record["results"])
    assert all(row["processor_milliseconds"] > 0 for row in record["results"])
    assert record["clip"] == {"width": 64, "height": 48, "format": "yuv420p", "frames": 6} and record["scale"] == 2
    assert [row["frames"] for row in record["memory"]] == [6, 60]


def test_ffmpegs_own_enlargement_has_the_size_of_the_models(tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(size=(16, 12)))
    with av.open(str(tmp_path / "in.mkv")) as container:
        frame = next(container.decode(video=0))
    cubic, lanczos = (rates._scaling(flags, frame, 2, 1).work(frame, "yuv420p", "yuv420p") for flags in rates.FLAGS)
    assert (cubic.width, cubic.height) == (lanczos.width, lanczos.height) == (32, 24)
    assert not np.array_equal(cubic.to_ndarray(), lanczos.to_ndarray())


def test_a_clip_is_repeated_with_times_that_go_on(tmp_path: Path) -> None:
    rates.write_clip(tmp_path / "in.mkv", 64, 48, 10)
    rates._repeat(tmp_path / "in.mkv", tmp_path / "long.mkv", 25)
    planes, times = read(tmp_path / "long.mkv")
    assert len(planes) == 25 and times == [Fraction(number, rates.RATE) for number in range(25)]
    assert not np.array_equal(planes[0][0], planes[1][0])


def test_models_of_several_scales_are_refused(tmp_path: Path) -> None:
    models = {name: Restorer(cases.model(name)) for name in ("mulut-dfc-x2", "srlut-x4")}
    with pytest.raises(ValueError, match=r"found scales \[2, 4\], expected one scale for all"):
        rates.measure_rates(models, rates.Plan(tmp_path / "in.mkv", 1, [1]))
