"""Fetching sets by download: interrupted, damaged, done twice."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pipeline.data import fetch as fetching
from pipeline.data.catalogue import Download, Downloaded
from pipeline.data.download import Patience
from pipeline.data.fetch import fetch
from tests.unit.pipeline.data.fetched import benchmark, catalogued, files, hidden, put, zipped
from tests.unit.pipeline.server import Served, serving

QUICK = Patience(connect=2, stall=0.5, attempts=1, pause=0.01)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of the benchmark's archive, and a catalogue of sets that come from it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = zipped(benchmark(tmp_path / "made"), tmp_path / "benchmark.zip")
    shutil.rmtree(tmp_path / "made")
    with serving() as served:
        served.content = archive.read_bytes()
        archive.unlink()
        source = Download(url=f"{served.url}/benchmark.zip", sha256=hashlib.sha256(served.content).hexdigest())
        catalogued(monkeypatch, {"Five": source, "Six": source})
        yield served


def test_a_download_becomes_plain_files(server: Served, tmp_path: Path) -> None:
    data, said = tmp_path / "data", list[str]()
    assert fetch("Five", folder=data, say=said.append) == data / "Five"
    assert files(data) == ["Five/a.png", "Five/b.png", "Five/c.png"]
    assert said[:3] == ["Five: T, https://a.example/", "licence: free for tests", "use: Testing."]
    assert said[3] == f"downloading {server.url}/benchmark.zip" and said[4] == f"Five: 3 images in {data / 'Five'}"
    assert "kept" in said[5] and "which also holds Six" in said[5]
    said.clear()
    fetch("Six", folder=data, say=said.append)
    assert server.requests == [None], "the archive was still there"
    assert said[-1].startswith("removed ") and hidden(data) == []
    said.clear()
    fetch("Five", folder=data, say=said.append)
    assert said == [f"Five: nothing to do, its 3 images are in {data / 'Five'}"]


def test_an_interrupted_download_is_continued(server: Served, tmp_path: Path) -> None:
    data, said = tmp_path / "data", list[str]()
    server.faults = [{"cut": 300}, {"cut": 0}]
    with pytest.raises(OSError, match=r"300 bytes are kept.*; --from takes a copy that you have$"):
        fetch("Five", folder=data, say=said.append, patience=QUICK)
    assert files(data) == [] and not (data / "Five").exists()
    fetch("Five", folder=data, say=said.append, patience=QUICK)
    assert len(files(data)) == 3 and server.requests[-1] == "bytes=300-"
    assert sum(line.startswith("licence: ") for line in said) == 1, "told once"


@pytest.mark.parametrize("step", ["extract", "select", "lay_out", "_mark", "download"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no room")])
def test_an_interruption_anywhere_leaves_nothing_half_done(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: Any
) -> None:
    data = tmp_path / "data"
    genuine: Callable[..., Any] = getattr(fetching, step)

    def interrupted(*arguments: Any, **options: Any) -> None:
        genuine(*arguments, **options)
        raise error

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, OSError)):
        patch.setattr(fetching, step, interrupted)
        fetch("Five", folder=data, say=lambda line: None)
    assert not (data / "Five").exists() and not [name for name in hidden(data) if name.endswith(".tmp")]
    fetch("Five", folder=data, say=lambda line: None)
    assert len(files(data)) == 3 and server.requests == [None]


def test_what_a_killed_call_left_is_removed(server: Served, tmp_path: Path) -> None:
    put(tmp_path / "data/.Five.123.tmp/images", "a.png")
    fetch("Five", folder=tmp_path / "data", say=lambda line: None)
    assert hidden(tmp_path / "data")[0].endswith("benchmark.zip")


def test_wrong_bytes_and_damaged_archives(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, whole = tmp_path / "data", server.content
    server.content = b"something else"
    with pytest.raises(ValueError, match=r"benchmark\.zip: SHA256 hash .* expected sha256:.* but got "):
        fetch("Five", folder=data, say=lambda line: None)
    assert hidden(data) == []
    catalogued(monkeypatch, {"Five": Download(url=f"{server.url}/benchmark.zip")})
    for content, message in ((b"<html>", "found no zip or tar archive"), (whole[:-100], "found damage")):
        server.content = content
        with pytest.raises(ValueError, match=message):
            fetch("Five", folder=data, say=lambda line: None)
        assert hidden(data) == [], "without a checksum the download may be to blame"
    server.content = whole
    fetch("Five", folder=data, say=lambda line: None)
    assert len(files(data)) == 3


def test_another_number_of_images_than_the_catalogue_has(server: Served, tmp_path: Path) -> None:
    source = Download(url=f"{server.url}/benchmark.zip")
    fetching.__dict__["catalogue"]()["Six"] = Downloaded(
        **{**fetching.__dict__["catalogue"]()["Six"].model_dump(exclude={"kind"}), "count": 9, "downloads": (source,)}
    )
    with pytest.raises(ValueError, match=r"benchmark\.zip: found 1 images of Six, expected 9"):
        fetch("Six", folder=tmp_path / "data", say=lambda line: None)
    assert files(tmp_path) == [] and hidden(tmp_path / "data") == []


def test_too_little_room(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 0, 100))
    with pytest.raises(OSError, match=r"data: found 0\.0 MB of room on the disk, expected 0\.0 MB$"):
        fetch("Five", folder=tmp_path / "data", say=lambda line: None)
    assert hidden(tmp_path / "data") == []


def test_one_fetch_of_a_set_at_a_time(server: Served, tmp_path: Path) -> None:
    data, said, waiting = tmp_path / "data", list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waiting.set()

    (data / ".downloads").mkdir(parents=True)
    with FileLock(data / ".downloads" / "Five.lock"):
        thread = threading.Thread(target=lambda: fetch("Five", folder=data, say=say))
        thread.start()
        assert waiting.wait(5)
        assert said == [f"waiting for another fetch, which holds {data / '.downloads' / 'Five.lock'}"]
        assert files(data) == []
    thread.join(5)
    assert len(files(data)) == 3
