"""Clips that are damaged, odd, or cannot be done: reported in a line, refused before work, or restored in part."""

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
from tests.unit.video.restored import restore  # noqa: E402


def test_a_broken_frame_is_reported_and_the_rest_restored(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "good.mov", Clip(codec="png", pixel_format="rgb24", size=(40, 30)))
    data = (tmp_path / "good.mov").read_bytes()
    broken = packets(tmp_path / "good.mov", "video")[3][1]
    (tmp_path / "in.mov").write_bytes(data.replace(broken, bytes(len(broken))))
    (text,) = restore(restorer, tmp_path / "in.mov", tmp_path / "out.mkv")
    assert text.startswith(f"{tmp_path / 'in.mov'}: the frame at 0:00.120 cannot be decoded")
    restore(restorer, tmp_path / "good.mov", tmp_path / "whole.mkv")
    whole, (made, times) = read(tmp_path / "whole.mkv")[0], read(tmp_path / "out.mkv")
    assert times == [Fraction(number, 25) for number in range(8) if number != 3]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(made, [*whole[:3], *whole[4:]], strict=True))


def test_a_damaged_frame_that_the_decoder_repairs_is_reported(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "good.mkv", Clip(codec="mpeg2video", size=(64, 64)))
    data = (tmp_path / "good.mkv").read_bytes()
    broken = packets(tmp_path / "good.mkv", "video")[4][1]
    half = len(broken) // 2
    (tmp_path / "in.mkv").write_bytes(data.replace(broken, broken[:half] + bytes(40) + broken[half + 40 :]))
    reported = restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert len(reported) >= 1 and "the frame at 0:00.160 is damaged" in reported[0]
    assert len(read(tmp_path / "out.mkv")[0]) == 8


def test_frames_of_another_size_and_times_that_go_back_are_reported(restorer: Restorer, tmp_path: Path) -> None:
    parts = [Clip(codec="mpeg2video", size=(64, 64)), Clip(codec="mpeg2video", size=(96, 64))]
    for number, part in enumerate(parts):
        write(tmp_path / f"{number}.ts", part)
    joined = b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(2))
    (tmp_path / "in.ts").write_bytes(joined)
    reported = restore(restorer, tmp_path / "in.ts", tmp_path / "out.mkv")
    assert len(reported) == 8 and all("has 96 x 64 pixels (yuv420p), unlike the first" in text for text in reported)
    (tmp_path / "in.ts").write_bytes((tmp_path / "0.ts").read_bytes() * 2)
    reported = restore(restorer, tmp_path / "in.ts", tmp_path / "out.mkv")
    assert len(reported) == 8 and all("is no later than the one before it" in text for text in reported)
    assert len(read(tmp_path / "out.mkv")[0]) == 8


@pytest.mark.parametrize(
    ("clip", "order", "found"),
    [
        (Clip("yuv420p10le"), {}, "found frames of kind yuv420p10le, 10 bits, expected 8 bits without alpha"),
        (Clip("yuva420p"), {}, "found frames of kind yuva420p, 8 bits, expected 8 bits without alpha"),
        (Clip(), {"max_pixels": 100}, "found frames of 16 x 12 pixels; --max-pixels 768 allows them"),
        (Clip(), {"codec": "nonsense"}, "encoder is 'nonsense', expected one that PyAV has"),
        (Clip(), {"codec": "aac"}, "encoder is 'aac', which encodes audio"),
        (Clip(), {"crf": 3}, "encoder ffv1 has no quality to choose"),
        (Clip("yuv411p"), {"codec": "libx264"}, "encoder libx264 takes no frames of kind yuv411p"),
        (Clip(), {"suffix": ".webm", "codec": "h264"}, "out.webm: this format holds no video by libx264"),
        (Clip(sound=True), {"suffix": ".webm", "codec": None}, "out.webm: this format holds no audio pcm_s16le"),
        (Clip(), {"suffix": ".avi"}, "out.avi: found suffix '.avi', expected .mkv, .mp4"),
    ],
)
def test_what_cannot_be_done_is_refused_before_work(
    restorer: Restorer, tmp_path: Path, clip: Clip, order: dict[str, Any], found: str
) -> None:
    write(tmp_path / "in.mkv", clip)
    target = tmp_path / f"out{order.pop('suffix', '.mkv')}"
    with pytest.raises(ValueError) as error:
        restore(restorer, tmp_path / "in.mkv", target, **order)
    assert found in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv"}


def test_an_odd_size_that_the_encoder_refuses(tmp_path: Path) -> None:
    restorer = Restorer(artifact.load(zoo.models()["dn-25"]))
    write(tmp_path / "in.mkv", Clip(size=(33, 31)))
    with pytest.raises(ValueError, match=r"encoder libx264 does not take frames of 33 x 31 pixels .*--codec ffv1"):
        restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv", codec="libx264")
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv"}


def test_interlaced_frames_are_refused_unless_the_user_chooses(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip(codec="mpeg2video", size=(64, 64), interlaced=True))
    with pytest.raises(ValueError, match="found interlaced frames; --deinterlace makes a frame of every field"):
        restore(restorer, tmp_path / "in.mkv", tmp_path / "out.mkv")
    restore(restorer, tmp_path / "in.mkv", tmp_path / "fields.mkv", deinterlace=True)
    restore(restorer, tmp_path / "in.mkv", tmp_path / "frames.mkv", deinterlace=False)
    assert read(tmp_path / "fields.mkv")[1] == [Fraction(number, 50) for number in range(16)]
    assert read(tmp_path / "frames.mkv")[1] == [Fraction(number, 25) for number in range(8)]


@pytest.mark.parametrize("content", [b"", b"no video at all", bytes(4000)])
def test_a_file_that_is_no_video(restorer: Restorer, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"in\.mp4: cannot be read as a video"):
        restore(restorer, tmp_path / "in.mp4", tmp_path / "out.mkv")


def test_a_playlist_does_not_read_other_files(restorer: Restorer, tmp_path: Path) -> None:
    write(tmp_path / "secret.ts", Clip(codec="mpeg2video", size=(64, 64)))
    (tmp_path / "in.mp4").write_text("ffconcat version 1.0\nfile secret.ts\n")
    with pytest.raises(ValueError, match=r"in\.mp4: "):
        restore(restorer, tmp_path / "in.mp4", tmp_path / "out.mkv")


def test_frames_stored_from_the_bottom_up(tmp_path: Path) -> None:
    write(tmp_path / "in.mkv", Clip())
    with av.open(str(tmp_path / "in.mkv")) as container:
        video = container.streams.video[0]
        frame = next(container.decode(video))
        graph = av.filter.Graph()
        graph.link_nodes(graph.add_buffer(template=video), graph.add("vflip"), graph.add("buffersink")).configure()
        graph.vpush(frame)
        turned = graph.vpull()
    assert turned.planes[0].line_size < 0
    for before, after in zip(planes_of(frame), planes_of(turned), strict=True):
        assert np.array_equal(before[::-1], after)
