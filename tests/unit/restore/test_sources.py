"""The sources of a model: files, the zoo's names, addresses with checksums."""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from lutra import zoo
from lutra.restore import sources
from lutra.restore.sources import find_model

CONTENT = b"not really a model"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTRA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "served.safetensors"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_itself(file: Path) -> None:
    assert find_model(file) == file and find_model(str(file)) == file


def test_names_of_the_zoo(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "FOLDER", file.parent)
    assert find_model("served") == file
    with pytest.raises(FileNotFoundError, match=r"^other: no such model file, nor a name of the zoo \(served\)"):
        find_model("other")


def test_what_is_fetched_is_kept(file: Path) -> None:
    address = f"{file.as_uri()}#sha256={CHECKSUM.upper()}"
    kept = find_model(address)
    assert kept.parent == sources.cache() and kept.read_bytes() == CONTENT
    file.unlink()
    assert find_model(address) == kept
    kept.write_bytes(b"damaged")
    with pytest.raises(OSError, match=r"served\.safetensors: "):
        find_model(address)


def test_only_what_the_checksum_says_is_kept(file: Path) -> None:
    with pytest.raises(ValueError, match=rf"its SHA-256 is {CHECKSUM}, expected 0000"):
        find_model(f"{file.as_uri()}#sha256={'0' * 64}")
    assert not sources.cache().exists()


def test_a_large_file_is_not_read_to_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(ValueError, match="more than 17 bytes"):
        find_model(f"{file.as_uri()}#sha256={CHECKSUM}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://models.invalid/a.safetensors", "no checksum"),
        ("https://models.invalid/a.safetensors#sha256=12", "no checksum"),
        (f"http://models.invalid/a#sha256={CHECKSUM}", "an address of kind http:"),
        (f"ftp://models.invalid/a#sha256={CHECKSUM}", "an address of kind ftp:"),
    ],
)
def test_incomplete_addresses_are_refused(file: Path, address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_model(address)


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LUTRA_CACHE", raising=False)
    for platform, variable in (("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        assert sources.cache() == tmp_path / "lutra"
    monkeypatch.setattr("sys.platform", "darwin")
    assert sources.cache() == Path.home() / "Library" / "Caches" / "lutra"


def test_a_download_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drip:
        def read1(self, size: int) -> bytes:
            return b"x"

    monkeypatch.setattr(sources, "TOTAL_TIME", 0.05)
    with pytest.raises(OSError, match=r"found \d+ bytes after 0 s, expected the whole file"):
        sources._read(cast(BinaryIO, Drip()), "https://example.org/model")


@pytest.mark.parametrize("target", ["http://example.org/model", "file:///etc/passwd", "ftp://example.org/model"])
def test_redirects_lead_to_https_alone(target: str) -> None:
    with pytest.raises(OSError, match="expected an https: address"):
        sources._redirects().redirect_request(cast(Any, None), cast(Any, None), 302, "", cast(Any, {}), target)
