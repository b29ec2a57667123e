"""Archives: what is unpacked, and that hostile and damaged ones leave nothing behind."""

import io
import random
import resource
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.data import archives
from pipeline.data.archives import Limits, extract, is_archive

CONTENT = {"set/a.png": b"a" * 1000, "set/deep/b.png": bytes(range(256)) * 20, "notes.txt": b"words"}
KINDS = ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "deb"]


def pack(path: Path, content: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    if path.suffix == ".deb":
        return package(path, {"control.tar.xz": b"odd", "data.tar.xz": pack(path.with_suffix(".tar.xz"), content)})
    compression: Any = "w" if path.suffix == ".tar" else f"w:{path.suffix[1:]}"
    with tarfile.open(path, compression) as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def package(path: Path, members: dict[str, bytes | Path]) -> Path:
    """An ar archive, as a Debian package is; files that go into it are removed."""
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, member in {"debian-binary": b"2.0\n", **members}.items():
            data = member if isinstance(member, bytes) else member.read_bytes()
            file.write(f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data)
            file.write(b"\n" * (len(data) % 2))
            if isinstance(member, Path):
                member.unlink()
    return path


@pytest.mark.parametrize(
    "members",
    [{}, {"control.tar.xz": b"x" * 100}, {"data.tar.xz": b"no archive"}, {"data.tar.lz": b"x" * 513}],
)
def test_packages_without_files_are_refused(tmp_path: Path, members: dict[str, bytes | Path]) -> None:
    refused(package(tmp_path / "x.deb", members), "found damage")


@pytest.mark.parametrize("size", [b"-60       ", b"          ", b"12.5      ", b"9999999999"])
def test_packages_with_impossible_sizes_are_refused(tmp_path: Path, size: bytes) -> None:
    archive = pack(tmp_path / "x.deb", CONTENT)
    content = bytearray(archive.read_bytes())
    content[56:66] = size
    archive.write_bytes(content)
    refused(archive, "found damage")


def special(path: Path, name: str, kind: bytes) -> Path:
    """A tar archive of one link or device."""
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    return path


def refused(archive: Path, message: str, limits: Limits | None = None) -> None:
    before = sorted(archive.parent.iterdir())
    with pytest.raises(ValueError, match=message) as caught:
        extract(archive, archive.parent / "out", limits=limits)
    assert str(caught.value).startswith(f"{archive}: ") and "\n" not in str(caught.value)
    assert sorted(archive.parent.iterdir()) == before, "nothing is left"


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_packed_is_unpacked(tmp_path: Path, kind: str) -> None:
    archive = pack(tmp_path / f"x.{kind}", CONTENT)
    assert is_archive(archive)
    written = extract(archive, tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in written}
    assert found == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", archive.name]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", {"a.png": bytes(range(256)) * 20})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"\.out\..*/a\.png'$"):
            extract(archive, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_only_what_is_wanted(tmp_path: Path, kind: str) -> None:
    archive = pack(tmp_path / f"x.{kind}", {f"./{name}": data for name, data in CONTENT.items()})
    written = extract(archive, tmp_path / "out", wanted=lambda name: name == "set/deep/b.png")
    assert written == [tmp_path / "out/set/deep/b.png"]
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 1


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["../up.png", "/etc/up.png", "a/../../up.png", "C:/up.png", "c:up.png", "..\\up.png", "a\\b.png", "a\nb"]
)
def test_paths_that_lead_elsewhere(tmp_path: Path, kind: str, name: str) -> None:
    archive = pack(tmp_path / f"x.{kind}", {"good.png": b"1", name: b"2"})
    refused(archive, "found a path that may lead elsewhere")
    with pytest.raises(ValueError, match="may lead elsewhere"):
        extract(archive, tmp_path / "out", wanted=lambda name: name == "good.png")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_links_and_devices(tmp_path: Path, kind: bytes, found: str) -> None:
    archive = special(tmp_path / "x.tar", "a.png", kind)
    refused(archive, f"a.png: found {found}, expected files and folders")
    assert extract(archive, tmp_path / "out", wanted=lambda name: False) == [], "left out where it is not wanted"


def test_links_in_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("a.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "x.zip", "a.png: found a link")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs(tmp_path: Path, kind: str) -> None:
    archive = pack(tmp_path / f"x.{kind}", {"zeros.png": bytes(5 << 20)})
    refused(archive, "zeros.png: found more than 3145728 bytes to unpack", Limits(ratio=3))
    refused(archive, "zeros.png: found more than 4000000 bytes to unpack", Limits(bytes=4_000_000))
    many = pack(tmp_path / f"many.{kind}", {f"{number}.png": b"" for number in range(9)})
    refused(many, "found more than 8 members", Limits(members=8))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_collide(tmp_path: Path, kind: str) -> None:
    refused(pack(tmp_path / f"case.{kind}", {"a/B.png": b"1", "a/b.PNG": b"2"}), "b.PNG: found the name twice")
    refused(pack(tmp_path / f"file.{kind}", {"a": b"1", "a/b.png": b"2"}), "a/b.png: found a file and a folder")


@pytest.mark.parametrize("kind", KINDS)
def test_cut_short(tmp_path: Path, kind: str) -> None:
    noise = {name: random.Random(name).randbytes(4000) for name in CONTENT}  # does not shrink
    whole = pack(tmp_path / f"whole.{kind}", noise).read_bytes()
    archive = tmp_path / f"x.{kind}"
    archive.write_bytes(whole[: len(whole) // 2])
    refused(archive, "found (damage|fewer bytes)")


def test_changed_bytes(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", CONTENT)
    content = bytearray(archive.read_bytes())
    content[43] ^= 0xFF  # in the first member's data
    archive.write_bytes(content)
    refused(archive, r"set/a\.png: found damage")


def test_encrypted(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", {"a.png": b"1"})
    content = bytearray(archive.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[directory + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "a.png: found an encrypted file")


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    assert not is_archive(tmp_path / "x.zip") and not is_archive(tmp_path) and not is_archive(tmp_path / "nowhere")
    refused(tmp_path / "x.zip", "found no zip or tar archive")
    archive = pack(tmp_path / "y.zip", CONTENT)
    with pytest.raises(ValueError, match="found something there"):
        extract(archive, tmp_path)


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", CONTENT)

    def interrupted(name: str) -> bool:
        if name == "notes.txt":
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        extract(archive, tmp_path / "out", wanted=interrupted)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_of_tar_are_bounded_before_they_are_read(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = kind, 1 << 28
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(
        ValueError, match=r"found damage \(a header of 268435456 bytes, expected at most 65536\)"
    ) as caught:
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert len(str(caught.value)) < 500 and not (tmp_path / "out").exists()


def test_a_zip_of_too_many_members_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(4):
            file.writestr(f"{number}.png", b"x")
    monkeypatch.setattr(archives, "_write", lambda *_: pytest.fail("something was written"))
    with pytest.raises(ValueError, match="found more than 3 members, expected at most 3"):
        extract(tmp_path / "a.zip", tmp_path / "out", limits=Limits(members=3))


def test_long_names_are_cut_in_messages(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(tarfile.TarInfo("../" + "x" * 60_000))
    with pytest.raises(ValueError, match="may lead elsewhere") as caught:
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert len(str(caught.value)) < 500
