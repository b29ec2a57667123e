"""Fetching sets from the user's copies, in every layout; sets that are not fetched."""

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.commands.inputs import app
from pipeline.data import fetch as fetching
from pipeline.data.fetch import fetch
from tests.unit.pipeline.data.fetched import catalogued, files, gopro, hidden, put, zipped


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue without addresses."""
    catalogued(monkeypatch, {})


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
