"""Clips: every plane restored as it is, and everything else kept."""

import itertools
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs PyAV, the extra `video`")

from lutra import zoo  # noqa: E402
from lutra.model import artifact  # noqa: E402
from lutra.restore.restorer import Restorer  # noqa: E402
from lutra.video.clip import planes_of  # noqa: E402
from tests.unit.video.clips import Clip, packets, read, write  # noqa: E402
from tests.unit.video.restored import expected, restore  # noqa: E402


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [
        *itertools.product(
            ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "gray", "bgr0"], [(16, 12), (15, 11), (70, 33)]
        ),
        *[("yuv411p", (16, 12)), ("yuv411p", (30, 11))],
    ],
)
def test_every_plane_is_restored_as_it_is(
    restorer: Restorer, tmp_path: Path, pixel_format: str, size: tuple[int, int]
) -> None:
    write(tmp_path / "in.mkv", Clip(pixel_format, size))
    assert restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv") == []
    given, times = read(tmp_path / "in.mkv")
    made, new_times = read(tmp_path / "out.mkv")
    assert len(made) == 8 and new_times == times
    for before, after in zip(given, made, strict=True):
        for one, other in zip(after, expected(restorer, before, size), strict=True):
            assert np.array_equal(one, other)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].format.name == pixel_format


@pytest.mark.parametrize("name", ["srlut-x4", "dn-25", "spf-light-deblock10"])
def test_models_of_every_kind(tmp_path: Path, name: str) -> None:
    """Models that enlarge, that do not, and that were trained on luma, which keep the chroma."""
    restorer = Restorer(artifact.load(zoo.models()[name]))
    write(tmp_path / "in.mkv", Clip(size=(31, 21), times=(0, 1)))
    restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv")
    for before, after in zip(read(tmp_path / "in.mkv")[0], read(tmp_path / "out.mkv")[0], strict=True):
        wanted = expected(restorer, before, (31, 21))
        if name == "spf-light-deblock10":
            wanted[1:] = before[1:]
        assert all(np.array_equal(one, other) for one, other in zip(after, wanted, strict=True))


@pytest.mark.parametrize(
    ("codec", "given", "planar"),
    [
        ("rawvideo", "nv12", "yuv420p"),
        ("rawvideo", "yuyv422", "yuv422p"),
        ("mjpeg", "yuvj420p", "yuvj420p"),
        ("rawvideo", "rgb24", "rgb24"),
    ],
)
def test_packed_and_full_range_frames(restorer: Restorer, tmp_path: Path, codec: str, given: str, planar: str) -> None:
    write(tmp_path / "in.nut", Clip(given, codec=codec))
    restore(restorer, tmp_path / "in.nut", tmp_path / "out.mkv")
    made, _ = read(tmp_path / "out.mkv")
    with av.open(str(tmp_path / "in.nut")) as container:
        frames = [frame.reformat(format=planar) for frame in container.decode(video=0)]
    for before, after in zip(frames, made, strict=True):
        if planar == "rgb24":
            assert np.array_equal(after[0], restorer.restore(before.to_ndarray()))
        else:
            wanted = expected(restorer, planes_of(before), (16, 12))
            assert all(np.array_equal(one, other) for one, other in zip(after, wanted, strict=True))
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert next(container.decode(video=0)).color_range == (2 if planar == "yuvj420p" else 0)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_time_of_every_frame_is_kept(restorer: Restorer, tmp_path: Path, suffix: str) -> None:
    times = (0, 1000, 1300, 1301, 5000, 5040, 9000, 9100, 9200, 30000)
    clip = Clip(times=times, time_base=Fraction(1, 1000), codec="mpeg4", size=(32, 32))
    write(tmp_path / f"in.{suffix}", clip)
    restore(restorer, tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}", codec="libx264")
    found = read(tmp_path / f"out.{suffix}")[1]
    assert found == read(tmp_path / f"in.{suffix}")[1] == [Fraction(time, 1000) for time in times]


def everything(container: Any, stream: Any) -> None:
    container.metadata["title"] = "A clip"
    container.set_chapters(
        [
            {"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
            {"id": 2, "start": 100, "end": 320, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
        ]
    )
    context = stream.codec_context
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 5, 5, 6
    context.sample_aspect_ratio = Fraction(16, 11)
    stream.set_display_rotation(90)
    stream.metadata["language"] = "fin"


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "ffv1"), ("mp4", "libx264"), ("mov", "libx265")])
def test_everything_else_is_kept(restorer: Restorer, tmp_path: Path, suffix: str, codec: str) -> None:
    write(tmp_path / "in.mkv", Clip(codec="libx264", sound=True, size=(48, 32)), everything)
    shape = codec != "ffv1"
    with nullcontext() if shape else pytest.warns(UserWarning, match="ffv1 cannot state that pixels are 16:11 wide"):
        restore(restorer, tmp_path / "in.mkv", tmp_path / f"out.{suffix}", codec=codec)
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        video = container.streams.video[0]
        frame = next(container.decode(video))
        assert (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 5, 5, 6)
        assert frame.rotation == 90 and video.sample_aspect_ratio == (Fraction(16, 11) if shape else None)
        assert (video.width, video.height) == (96, 64)
        assert video.metadata["language"] == "fin" and container.metadata["title"] == "A clip"
        chapters = [(float(c["start"] * c["time_base"]), c["metadata"]["title"]) for c in container.chapters()]
        assert chapters == [(0, "one"), (0.1, "two")]
        if suffix == "mov":
            assert video.codec_context.codec_tag == "hvc1"
    sound = packets(tmp_path / f"out.{suffix}", "audio")
    assert b"".join(data for _, data in sound) == b"".join(data for _, data in packets(tmp_path / "in.mkv", "audio"))
    assert sound[0][0] == 0


def test_subtitles_and_attached_files_are_kept(restorer: Restorer, tmp_path: Path) -> None:
    def prepare(container: Any, stream: Any) -> None:
        container.add_attachment("font.ttf", "font/ttf", b"letters")
        text = container.add_mux_stream("subrip", time_base=Fraction(1, 1000))
        text.metadata["language"] = "eng"
        line = av.Packet(b"Hello")
        line.stream, line.time_base, line.pts, line.dts, line.duration = text, Fraction(1, 1000), 80, 80, 120
        prepare.line = line  # type: ignore[attr-defined]
        container.start_encoding()
        container.mux(line)

    write(tmp_path / "in.mkv", Clip(), prepare)
    restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv", "subtitle") == [(0.08, b"Hello")]
    with av.open(str(tmp_path / "out.mkv")) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("font.ttf", "font/ttf", b"letters")
        assert container.streams.subtitles[0].language == "eng"


def test_subtitles_of_mp4_become_text_in_mkv(restorer: Restorer, tmp_path: Path) -> None:
    def prepare(container: Any, stream: Any) -> None:
        text = container.add_stream("mov_text")
        text.codec_context.subtitle_header = b"[Script Info]\n[V4+ Styles]\n[Events]\n"
        container.start_encoding()
        line = av.subtitles.subtitle.SubtitleSet.create(b"0,0,Default,,0,0,0,,Hello", 0, 120, 80000)
        packet = text.codec_context.encode_subtitle(line)
        packet.stream, packet.time_base, packet.pts, packet.dts = text, Fraction(1, 1000), 80, 80
        packet.duration = 120
        container.mux(packet)

    write(tmp_path / "in.mp4", Clip(codec="libx264", size=(32, 32)), prepare)
    restore(restorer, tmp_path / "in.mp4", tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv", "subtitle") == [(0.08, b"Hello")]
    restore(restorer, tmp_path / "in.mp4", tmp_path / "out.mp4", codec="libx264")
    assert (0.08, packets(tmp_path / "in.mp4", "subtitle")[1][1]) in packets(tmp_path / "out.mp4", "subtitle")
    with pytest.raises(ValueError, match=r"out\.webm: this format holds no subtitle mov_text; \.mkv holds"):
        restore(restorer, tmp_path / "in.mp4", tmp_path / "out.webm", codec=None)


def test_a_part_of_a_clip(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(sound=True, times=tuple(range(200))), everything)
    restore(restorer, tmp_path / "in.mkv", tmp_path / "part.mkv", start=Fraction(2), frames=10)
    restore(restorer, tmp_path / "in.mkv", tmp_path / "whole.mkv")
    whole, _ = read(tmp_path / "whole.mkv")
    part, times = read(tmp_path / "part.mkv")
    assert times == [Fraction(number, 25) for number in range(10)]
    for one, other in zip(part, whole[50:60], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    sound = packets(tmp_path / "in.mkv", "audio")
    assert packets(tmp_path / "part.mkv", "audio") == [(round(t - 2, 3), data) for t, data in sound[50:60]]
    with av.open(str(tmp_path / "part.mkv")) as container:
        assert container.chapters() == []
    with pytest.raises(ValueError, match="found no frame that can be decoded after --start 60"):
        restore(restorer, tmp_path / "in.mkv", tmp_path / "late.mkv", start=Fraction(60))


def test_a_start_within_predicted_frames(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "in.mp4", Clip(codec="libx264", size=(32, 32), times=tuple(range(60))))
    restore(restorer, tmp_path / "in.mp4", tmp_path / "whole.mkv")
    restore(restorer, tmp_path / "in.mp4", tmp_path / "part.mkv", start=Fraction("1.01"), frames=3)
    whole, part = read(tmp_path / "whole.mkv")[0], read(tmp_path / "part.mkv")[0]
    for one, other in zip(part, whole[26:29], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
