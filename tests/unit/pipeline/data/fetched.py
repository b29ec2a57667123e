"""Sets to fetch: what a catalogue lists, folders and archives of them, and what a fetch left."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data import fetch as fetching
from pipeline.data.catalogue import Download, Downloaded, Packaged, Synthetic

SETS: dict[str, dict[str, Any]] = {
    "Five": {"count": 3, "images": ("Five/HR/*.png",)},
    "Six": {"count": 1, "images": ("Six/HR/*.png",)},
    "bsds400": {"count": 2, "images": ("images/train/*.jpg", "images/test/*.jpg")},
    "Pairs": {"count": 2, "pairs": True, "images": ("train/*/blur/*.png", "train/*/sharp/*.png")},
    "Manga": {"count": 1},
    "Walls": {"count": 2, "images": ("walls/*/images/1.png",)},
}


def put(root: Path, *names: str, size: tuple[int, int] = (8, 4)) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 0, 0)).save(path)
    return root


def zipped(root: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


def benchmark(root: Path) -> Path:
    """An archive's content that two sets come from."""
    put(root, *(f"benchmark/Five/HR/{name}.png" for name in "abc"), "benchmark/Five/LR_bicubic/X4/ax4.png")
    return put(root, "benchmark/Six/HR/z.png", "__MACOSX/benchmark/Five/HR/a.png")


def gopro(root: Path) -> Path:
    for sequence in ("train/A", "train/B", "test/C"):
        put(root, *(f"GOPRO_Large/{sequence}/{kind}/1.png" for kind in ("blur", "blur_gamma", "sharp")))
    return root


def files(folder: Path) -> list[str]:
    """Return what a user sees in a folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def hidden(folder: Path) -> list[str]:
    """Return what a failed call leaves next to the sets and in the folder of downloads, without locks and markers."""
    beside = [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".downloads"]
    downloads = [path.name for path in (folder / ".downloads").iterdir() if path.suffix not in (".lock", ".terms")]
    return sorted(beside + downloads)


def catalogued(monkeypatch: pytest.MonkeyPatch, sources: dict[str, Download]) -> None:
    about: dict[str, Any] = {"title": "T", "home": "https://a.example/", "licence": "free for tests"}
    sets: dict[str, Any] = {
        name: Downloaded(
            **about,
            use="Testing.",
            note="give your copy",
            **keys,
            downloads=(sources[name],) if name in sources else (),
        )
        for name, keys in SETS.items()
    }
    sets["photos"] = Packaged(**about, package="mvtb-data", folder="", files=())
    sets["leaves"] = Synthetic(**about, kind="synthetic")
    monkeypatch.setattr(fetching, "catalogue", lambda: sets)
