"""Files appear whole or not at all."""

import errno
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from lutra import files
from lutra.files import all_at_once, leftovers, remove_leftovers, temporary_name, whole_folder, write_whole


def test_a_file_is_written_whole_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, "text")
    write_whole(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_is_named_and_keeps_what_was_there(tmp_path: Path) -> None:
    def full(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_whole(path, b"before")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_whole(path, full)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_all_at_once_appears_together(tmp_path: Path) -> None:
    first, folder, last = tmp_path / "first", tmp_path / "folder", tmp_path / "last"
    write_whole(first, "before")
    with all_at_once():
        write_whole(first, "after")
        with whole_folder(folder) as new:
            write_whole(new / "file", "in it")
        write_whole(last, "after")
        assert first.read_text() == "before" and not folder.exists() and not last.exists()
    assert first.read_text() == last.read_text() == "after"
    assert (folder / "file").read_text() == "in it"
    assert sorted(tmp_path.rglob("*")) == [first, folder, folder / "file", last]


def test_of_what_is_written_all_at_once_nothing_appears_when_a_part_fails(tmp_path: Path) -> None:
    first, folder = tmp_path / "first", tmp_path / "folder"
    write_whole(first, "before")
    with whole_folder(folder) as new:
        write_whole(new / "file", "before")
    with pytest.raises(RuntimeError), all_at_once():
        write_whole(first, "after")
        with whole_folder(folder) as new:
            write_whole(new / "file", "after")
        raise RuntimeError
    assert first.read_text() == (folder / "file").read_text() == "before"
    assert sorted(tmp_path.rglob("*")) == [first, folder, folder / "file"]
    write_whole(first, "later")
    assert first.read_text() == "later"


def test_many_threads_may_write_one_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 1000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(50):
            write_whole(path, content)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["x" * 255, "ü" * 127, "x" * 249 + ".bytes", os.fsdecode(b"\xe4" * 255)], ids=["255", "ü", "suffix", "raw"]
)
def test_names_may_be_as_long_as_file_systems_allow(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_temporary_names_are_as_short_as_the_file_system_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda folder, name: 143)  # an encrypted folder's
    assert len(temporary_name(tmp_path / ("x" * 143)).name) <= 143


def test_containers_of_one_name_leave_each_others_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count their processes apart, so that a number means another process in each."""
    code = f"import lutra.files, pathlib; print(lutra.files.temporary_name(pathlib.Path({str(tmp_path / 'a')!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    left, stat = Path(done.stdout.strip()), os.stat
    left.touch()

    def of_another(path: Any, **options: Any) -> object:
        return types.SimpleNamespace(st_ino=17) if path == "/proc/self/ns/pid" else stat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", of_another)
        files._machine.cache_clear()
        remove_leftovers(tmp_path)
    files._machine.cache_clear()
    assert left.exists()
    remove_leftovers(tmp_path)
    assert not left.exists()


def test_a_folder_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (looked.append(folder), scandir(folder))[1])
    for number in range(5):
        write_whole(tmp_path / f"{number}", b"content")
    assert looked == [tmp_path]


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    order: list[object] = []
    synced, replaced = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append(("sync", os.fstat(file).st_size)), synced(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("replace"), replaced(*names)))
    write_whole(path, lambda file: file.write(b"12345"))
    assert order == [("sync", 5), "replace"]
    with whole_folder(tmp_path / "folder") as folder:
        (folder / "file").write_bytes(b"123")
    assert order[2:] == [("sync", 3), "replace"]


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "folder" / "file").mkdir(parents=True)
    with pytest.raises(OSError, match=f": '{tmp_path / 'folder'}'$"):
        write_whole(tmp_path / "folder", b"content")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_folder_that_cannot_take_its_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replaced, calls = tmp_path / "folder", os.replace, []

    def replace(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        replaced(source, target)

    with whole_folder(path) as folder:
        (folder / "file").write_text("before")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="Input/output"), whole_folder(path) as folder:
        (folder / "file").write_text("after")
    assert (path / "file").read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_what_an_ended_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    code = f"import lutra.files, pathlib; print(lutra.files.temporary_name(pathlib.Path({str(path)!r})))"
    dead = Path(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    mine, other = temporary_name(path), temporary_name(tmp_path / "other.png")
    machine = mine.name.split(".")[3].split("-")[0]
    elsewhere = mine.with_name(dead.name.replace(machine, "0" * 8))
    for left in (dead, mine, other, elsewhere):
        left.touch()
    assert str(os.getpid()) in mine.name
    assert set(leftovers(path)) == {dead, mine, elsewhere}
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {mine, other, elsewhere}
