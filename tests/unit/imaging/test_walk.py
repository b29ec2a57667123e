"""Images below a folder: links, loops, and what is left out."""

import os
from pathlib import Path

import pytest
from PIL import Image

from lutra.imaging.walk import walk


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path)


def reasons(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): why for path, why in walk(folder).left_out}


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk(folder).images]


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "deep" / "a.png")
    put(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "in" / "b.png")
    assert names(tmp_path / "in") == ["b.png", "c.png", "linked/deep/a.png"]
    assert reasons(tmp_path / "in") == {}


def test_links_that_lead_back_are_said_and_end(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder / "sub" / "a.png")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "loop").symlink_to(folder)
    (folder / "sub" / "up").symlink_to(tmp_path)
    assert names(folder) == ["sub/a.png"]
    assert reasons(folder) == {
        "again": f"leads to {folder / 'sub'}",
        "loop": f"leads to {folder}",
        "sub/up": f"leads to {tmp_path}",
    }


def test_folders_that_link_to_each_other_are_seen_once(tmp_path: Path) -> None:
    for one in range(8):
        put(tmp_path / f"{one}" / "a.png")
        for other in range(8):
            (tmp_path / f"{one}" / f"to{other}").symlink_to(tmp_path / f"{other}")
    assert len(names(tmp_path)) == 8


def test_what_is_no_image_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sub").symlink_to(tmp_path / "no-folder")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("a.jfif", "b.JPE", "c.gif", "d.pbm", "notes.txt", ".hidden.gif"):
        (tmp_path / name).touch()
    assert reasons(tmp_path) == {
        "a.jfif": ".jfif is not read",
        "b.JPE": ".jpe is not read",
        "c.gif": ".gif is not read",
        "d.pbm": ".pbm is not read",
        "gone.png": "a link that leads nowhere",
        "pipe.png": "no regular file",
        "sub": "a link that leads nowhere",
    }


def test_an_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "closed" / "b.png")
    inside = Path.iterdir

    def refused(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return inside(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert names(tmp_path) == ["a.png"] and reasons(tmp_path) == {"closed": "Permission denied"}
