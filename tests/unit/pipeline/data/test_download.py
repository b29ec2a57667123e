"""Downloads from a server that cuts, stalls, lies and changes its file."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.data.download import Patience, download
from tests.unit.pipeline.server import Served, serving

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
QUICK = Patience(connect=2, stall=0.2, attempts=2, pause=0.01)
ONCE = Patience(connect=2, stall=0.2, attempts=1, pause=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        served.content = CONTENT
        yield served


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_and_is_not_asked_for_again(server: Served, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "x.zip"
    assert download(f"{server.url}/x.zip", path, SHA256, room=lambda *sizes: told.append(sizes)) == path
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["x.zip"] and told == [(len(CONTENT), len(CONTENT))]
    download(f"{server.url}/x.zip", path, SHA256)
    assert server.requests == [None]


def test_what_is_cut_is_continued_within_a_call(server: Served, tmp_path: Path) -> None:
    server.faults = [{"cut": 1000}, {"cut": 500}, {"status": 503}, {}]
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=QUICK)
    assert server.requests == [None, "bytes=1000-", "bytes=1500-", "bytes=1500-"]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [{"cut": 1000}, {"cut": 1000, "stall": 1}])
def test_what_is_cut_or_stalls_is_continued_by_the_next_call(
    server: Served, tmp_path: Path, fault: dict[str, float]
) -> None:
    server.faults = [fault, {"cut": 0}]
    with pytest.raises(OSError, match=r"/x\.zip: .*; 1000 bytes are kept, the next call continues") as caught:
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=ONCE)
    assert "\n" not in str(caught.value) and not (tmp_path / "x.zip").exists()
    server.faults = []
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=ONCE)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT and left(tmp_path) == ["x.zip"]
    assert server.requests[-1] == "bytes=1000-"


@pytest.mark.parametrize("tag", ['"two"', None, 'W/"weak"'])
def test_two_versions_are_not_spliced(server: Served, tmp_path: Path, tag: str | None) -> None:
    server.tag = '"one"' if tag else None
    server.content, server.faults = b"old" * 1000, [{"cut": 1000}, {"cut": 0}]
    with pytest.raises(OSError, match=r"/x\.zip: "):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", patience=ONCE)
    server.content, server.tag, server.faults = CONTENT, tag, []
    download(f"{server.url}/x.zip", tmp_path / "x.zip", patience=ONCE)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges(server: Served, tmp_path: Path) -> None:
    server.faults = [{"cut": 1000}, {"ranges": False}]
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=QUICK)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_continues_another_version(server: Served, tmp_path: Path) -> None:
    server.faults = [{"cut": 1000}, {"status": 206, "ranges": False}, {}]  # the whole file, called the rest
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=QUICK)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.requests[2] is None, "begun again"


def test_a_server_that_gives_no_length(server: Served, tmp_path: Path) -> None:
    server.faults = [{"length": None}]
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=QUICK)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, len(CONTENT) + 1000])
def test_false_lengths(server: Served, tmp_path: Path, length: int) -> None:
    server.faults = [{"length": length}] * 9
    with pytest.raises((ValueError, OSError), match=r"/x\.zip: "):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=QUICK)
    assert not (tmp_path / "x.zip").exists()


def test_wrong_bytes_are_deleted(server: Served, tmp_path: Path) -> None:
    server.content = b"something else"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ValueError, match=rf"/x\.zip: SHA256 hash .*expected {SHA256} but got {found}\. Deleted"):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256)
    assert left(tmp_path) == []
    md5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    with pytest.raises(ValueError, match="MD5 hash"):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", md5)


@pytest.mark.parametrize(("status", "calls"), [(404, 1), (403, 1), (500, 2), (429, 2)])
def test_refusals(server: Served, tmp_path: Path, status: int, calls: int) -> None:
    server.faults = [{"status": status}] * 9
    with pytest.raises(OSError, match=rf"^{server.url}/x\.zip: found the answer {status} .*, expected the file$"):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", patience=QUICK)
    assert len(server.requests) == calls and left(tmp_path) == []


def test_no_server(server: Served, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^http://127\.0\.0\.1:9/x\.zip: the connection failed"):
        download("http://127.0.0.1:9/x.zip", tmp_path / "x.zip", patience=ONCE)


def test_too_little_room_stops_before_the_first_byte(server: Served, tmp_path: Path) -> None:
    def full(left: int, size: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match=r"^the disk is full$"):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, room=full)
    assert not (tmp_path / "x.zip").exists() and not (tmp_path / "x.zip.part").exists()


def test_an_interrupted_check_does_not_cost_the_download(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.data.download._checksum_of", interrupted)
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256)
    download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256)
    assert server.requests == [None] and left(tmp_path) == ["x.zip"]


def test_a_server_that_drips_is_given_up(server: Served, tmp_path: Path) -> None:
    server.faults = [{"drip": 0.01}] * 2
    patience = Patience(connect=2, stall=5, attempts=2, pause=0.01, least=10_000, window=0.2)
    with pytest.raises(OSError, match=r"found \d+ bytes in 0 s, expected more"):
        download(f"{server.url}/x.zip", tmp_path / "x.zip", SHA256, patience=patience)
    assert len(server.requests) == 2
