"""Fetching sets: downloads and the user's copies in every layout, interrupted, damaged and done twice."""

import hashlib
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PIL import Image
from typer.testing import CliRunner

from pipeline.commands.inputs import app
from pipeline.data import fetch as fetching
from pipeline.data.catalogue import Download, Downloaded, Packaged, Synthetic
from pipeline.data.download import Patience
from pipeline.data.fetch import fetch
from tests.unit.pipeline.server import Served, serving

QUICK = Patience(connect=2, stall=0.5, attempts=1, pause=0.01)
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
    """What a user sees in a folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def hidden(folder: Path) -> list[str]:
    """What a failed call leaves beside the sets and in the folder of downloads, without locks and markers."""
    beside = [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".downloads"]
    downloads = [path.name for path in (folder / ".downloads").iterdir() if path.suffix not in (".lock", ".terms")]
    return sorted(beside + downloads)


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


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue without addresses."""
    catalogued(monkeypatch, {})


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


@pytest.mark.parametrize("step", ["extract", "choose", "place", "_mark", "download"])
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


LAYOUTS = {
    "flat": ["a.png", "b.png", "c.png"],
    "HR": ["HR/a.png", "HR/b.png", "HR/c.png", "LR_bicubic/X4/ax4.png"],
    "with others": ["x/Five/HR/a.png", "x/Five/HR/b.png", "x/Five/HR/c.png", "x/Six/HR/a.png"],
    "wrapped": ["Five/Five/a.png", "Five/Five/b.png", "Five/Five/c.png"],
    "DIV2K": ["S_train_HR/a.png", "S_train_HR/b.png", "S_train_HR/c.png"],
    "SRF": [f"image_SRF_4/{name}_SRF_4_{kind}.png" for name in "abc" for kind in ("HR", "LR", "A+")],
}


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_copy_in_any_layout(tmp_path: Path, layout: str, packed: bool) -> None:
    origin = put(tmp_path / "mine", *LAYOUTS[layout])
    given = zipped(origin, tmp_path / "mine.zip") if packed else origin
    before = {path: path.read_bytes() for path in origin.rglob("*") if path.is_file()}
    said: list[str] = []
    made = fetch("Five", given, folder=tmp_path / "data", say=said.append)
    suffix = "_SRF_4_HR" if layout == "SRF" else ""
    assert files(made) == [f"{name}{suffix}.png" for name in "abc"] and not any("taken" in line for line in said)
    assert before == {path: path.read_bytes() for path in origin.rglob("*") if path.is_file()}, "only read"
    assert (made / f"a{suffix}.png").read_bytes() in before.values(), "unchanged"


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("given", [".", "BSR", "BSR/BSDS500/data/images"])
def test_only_train_and_test_of_bsds500(tmp_path: Path, given: str) -> None:
    origin = put(
        tmp_path / "mine", *(f"BSR/BSDS500/data/images/{part}/{part}.jpg" for part in ("train", "val", "test"))
    )
    put(origin, "BSR/bench/data/other.png")
    assert files(fetch("bsds400", origin / given, folder=tmp_path / "data", say=print)) == ["test.jpg", "train.jpg"]


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("given", [".", "GOPRO_Large", "GOPRO_Large/train", "archive"])
def test_pairs(tmp_path: Path, given: str) -> None:
    origin = gopro(tmp_path / "mine")
    if given == "archive":
        with tarfile.open(tmp_path / "gopro.tar.gz", "w:gz") as archive:
            archive.add(origin, "x")
    source = tmp_path / "gopro.tar.gz" if given == "archive" else origin / given
    made = fetch("Pairs", source, folder=tmp_path / "data", say=print)
    assert files(made) == ["input/A_1.png", "input/B_1.png", "target/A_1.png", "target/B_1.png"]
    assert (made / "target/B_1.png").read_bytes() == (origin / "GOPRO_Large/train/B/sharp/1.png").read_bytes()


@pytest.mark.usefixtures("copies")
def test_images_of_one_name_are_called_after_the_folders_that_differ(tmp_path: Path) -> None:
    put(tmp_path / "package/usr/share", "walls/Kite/images/1.png", "walls/Path/images/1.png", "walls/Path/images/2.png")
    made = fetch("Walls", zipped(tmp_path / "package", tmp_path / "x.zip"), folder=tmp_path / "data", say=print)
    assert files(made) == ["Kite_images_1.png", "Path_images_1.png"]


@pytest.mark.usefixtures("copies")
def test_the_command_brings_several_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Path | None]] = []
    monkeypatch.setattr(fetching, "fetch", lambda name, origin, say: asked.append((name, origin)))
    run = CliRunner().invoke
    assert run(app, ["fetch", "Five", "Six"]).exit_code == 0
    assert asked == [("Five", None), ("Six", None)]
    refused = run(app, ["fetch", "Five", "Six", "--from", str(tmp_path)])
    assert refused.exit_code == 2 and "--from: found 2 sets, expected one" in refused.output and len(asked) == 2


def test_the_command_brings_what_a_file_of_parameters_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(fetching, "fetch", lambda name, origin, say: asked.append(name))
    params = tmp_path / "params.yaml"
    sets = "{train: budgie, mix: [photos, deadleaves], evaluate: [Set5, samples], validate: 1}"
    params.write_text(f"data: {sets}\ntasks: {{x4: {{task: sr, scale: 4}}}}\nexperiments: {{}}\n")
    assert CliRunner().invoke(app, ["fetch", "--params", str(params)]).exit_code == 0
    assert asked == ["Set5", "budgie"]


@pytest.mark.usefixtures("copies")
def test_a_part_of_a_set_is_taken_and_completed_later(tmp_path: Path) -> None:
    data, said = tmp_path / "data", list[str]()
    part = put(tmp_path / "part", "a.png", "b.png")
    fetch("Five", part, folder=data, say=said.append)
    assert f"Five: found 2 images in {part}, expected 3: taken as they are" in said
    fetch("Five", put(tmp_path / "whole", "a.png", "b.png", "c.png"), folder=data, say=said.append)
    assert len(files(data / "Five")) == 3 and hidden(data) == []


@pytest.mark.usefixtures("copies")
def test_what_the_user_put_there_is_never_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    put(data / "Five", "mine.png")
    with pytest.raises(ValueError, match=r"data/Five: found 1 images that fetch did not bring, expected the 3 of Five"):
        fetch("Five", put(tmp_path / "other", "a.png"), folder=data, say=print)
    assert files(data) == ["Five/mine.png"]
    put(data / "Five", "b.png", "c.png")
    fetch("Five", folder=data, say=print)
    assert len(files(data)) == 3, "but used where it is whole"


@pytest.mark.usefixtures("copies")
def test_copies_that_cannot_be_taken(tmp_path: Path) -> None:
    def refused(origin: Path, message: str, name: str = "Five") -> None:
        with pytest.raises((ValueError, OSError), match=message) as caught:
            fetch(name, origin, folder=tmp_path / "data", say=lambda line: None)
        assert "\n" not in str(caught.value) and "data/." not in str(caught.value)
        assert files(tmp_path / "data") == [] and hidden(tmp_path / "data") == []

    refused(tmp_path / "nowhere", "nowhere: no such file or folder, expected a folder or an archive of Five")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "empty: found no image")
    (tmp_path / "words.txt").write_text("words")
    refused(tmp_path / "words.txt", r"words\.txt: found neither a folder nor a zip or tar archive")
    broken = put(tmp_path / "broken", "a.png")
    (broken / "b.png").write_bytes(b"no image")
    refused(broken, r"broken/b\.png: found none of the formats")
    refused(zipped(broken, tmp_path / "broken.zip"), r"broken\.zip/b\.png: found none of the formats")
    lonely = gopro(tmp_path / "lonely")
    os.unlink(lonely / "GOPRO_Large/train/A/sharp/1.png")
    refused(lonely, r"found GOPRO_Large/train/A/blur/1\.png without its pair", "Pairs")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../up.png", b"")
    refused(tmp_path / "evil.zip", r"evil\.zip: '\.\./\.\./up\.png': found a path that may lead elsewhere")


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Fiv", r"image set 'Fiv': found no such set .* did you mean 'Five'\?"),
        ("FIVE", "expected 'Five'"),
        ("photos", "photos: needs no download, its images are in the package mvtb-data"),
        ("leaves", "leaves: needs no download, its images are computed"),
        ("Manga", r"Manga: found no address to download it from: give your copy \(--from\), see https://a\.example/"),
    ],
)
def test_sets_that_are_not_fetched(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fetch(name, folder=tmp_path / "data", say=print)
