"""Files and the disk: what is missing, may not be read or cannot be written; a file appears whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from lutra.imaging.images import read_image, write_image
from tests.unit.imaging.decoding.made import noise, refused

Bytes = NDArray[np.uint8]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: no such file, expected"):
        read_image(tmp_path / "nowhere.png")
    refused(tmp_path, "a folder")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), noise(4, 4, 4), noise(4), noise(0, 4)], ids=["float", "RGBA", "line", "empty"]
)
def test_refused_arrays_leave_no_file(tmp_path: Path, image: Bytes) -> None:
    with pytest.raises(ValueError, match=r"a\.png: found shape .* to write, expected"):
        write_image(tmp_path / "a.png", image)
    assert not list(tmp_path.iterdir())


def test_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found suffix '\.gif', expected one of \.png"):
        write_image(tmp_path / "a.gif", noise(4, 4))


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old = tmp_path / "a.png", noise(4, 4)
    write_image(path, old)

    def interrupted(self: Image.Image, file: Any, *format: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(path, 255 - old)
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(read_image(path), old)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".ppm", ".webp"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """The limit is met within the last bytes, which Pillow writes without looking for errors."""
    image = noise(60, 60, 3)
    write_image(tmp_path / f"whole{suffix}", image)
    room = (tmp_path / f"whole{suffix}").stat().st_size - 10
    np.save(tmp_path / "image.npy", image)
    code = (
        "import numpy, resource, signal, sys; from lutra.imaging.images import write_image\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "write_image(sys.argv[2], numpy.load(sys.argv[1]))"
    )
    path = tmp_path / "out" / f"a{suffix}"
    path.parent.mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "image.npy"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"File too large: '{path}'" in done.stderr
    assert list(path.parent.iterdir()) == []


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_image(path, noise(4, 4))

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
        read_image(path)


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "a device or pipe")
    refused(Path("/dev/zero"), "a device or pipe")


def test_an_error_of_the_disk_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: ImageFile.ImageFile) -> None:
        raise OSError(errno.EIO, "Input/output error")

    write_image(tmp_path / "a.png", noise(4, 4))
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path / 'a.png'}'"):
        read_image(tmp_path / "a.png")
