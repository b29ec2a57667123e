"""The plan of what is read and written where, before anything is restored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFile

from lutra.imaging.images import Picture, write_picture
from lutra.restore import batch
from lutra.restore.batch import FileJob, plan
from lutra.restore.restorer import Restorer
from tests.golden import cases

DOT = np.zeros((2, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png", "sub/b.tif", ".hidden.png"):
        write_picture(folder / name, Picture(DOT))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_one_file_goes_to_a_file_or_into_a_folder(folder: Path, tmp_path: Path) -> None:
    source = folder / "a.png"
    assert plan([source], tmp_path / "b.webp") == [FileJob(source, tmp_path / "b.webp")]
    assert plan([source], tmp_path) == [FileJob(source, tmp_path / "a.png")]
    assert plan([source], tmp_path / "new", ".jpg") == [FileJob(source, tmp_path / "new" / "a.jpg")]
    with pytest.raises(ValueError, match=r"b\.webp: found suffix '\.webp', expected '\.png'"):
        plan([source], tmp_path / "b.webp", ".png")


def test_folders_keep_their_names(folder: Path, tmp_path: Path) -> None:
    jobs = plan([folder], tmp_path / "out")
    assert [str(job.target.relative_to(tmp_path / "out")) for job in jobs] == ["a.png", "sub/a.png", "sub/b.tif"]
    assert [job.source for job in jobs] == [folder / "a.png", folder / "sub" / "a.png", folder / "sub" / "b.tif"]


def test_results_below_the_source_are_no_sources(folder: Path) -> None:
    assert len(plan([folder], folder / "sub")) == 1


def test_no_result_replaces_a_source_or_another_result(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would replace an input"):
        plan([folder], folder)
    with pytest.raises(ValueError, match="would replace an input"):
        plan([folder / "a.png"], folder / "sub" / ".." / "a.png")
    with pytest.raises(ValueError, match="would be written there"):
        plan([folder / "a.png", folder / "sub" / "a.png"], tmp_path / "out")


def test_what_cannot_be_planned_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: found no image"):
        plan([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file or folder"):
        plan([folder, tmp_path / "none.png"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"notes\.txt: found a file, expected a folder"):
        plan([folder], folder / "notes.txt")


def test_too_large_a_result_is_refused_before_decoding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer = Restorer(cases.model("srlut-x2-8bit"))
    monkeypatch.setattr(batch, "MAX_PIXELS", 23)
    with pytest.raises(ValueError, match="found 3 x 2 pixels, more than the 5 that are allowed"):
        batch.restore_file(restorer, FileJob(folder / "a.png", tmp_path / "a.png"))
    monkeypatch.setattr(batch, "MAX_PIXELS", 24)
    batch.restore_file(restorer, FileJob(folder / "a.png", tmp_path / "deep" / "a.png"))
    assert (tmp_path / "deep" / "a.png").is_file()


def test_a_result_never_replaces_an_input_by_another_of_its_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").hardlink_to(folder / "a.png")
    for inputs, output in (([folder / "a.png"], tmp_path / "out" / "a.png"), ([folder], tmp_path / "out")):
        with pytest.raises(ValueError, match=r"out/a\.png: the result would replace an input"):
            plan(inputs, output)


def test_names_that_differ_by_case_are_one_file_where_the_folder_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(folder / "A.PNG", Picture(DOT))
    assert len(plan([folder], tmp_path / "out")) == 4
    monkeypatch.setattr(batch, "_ignores_case", lambda folder: folder == tmp_path / "out")
    with pytest.raises(ValueError, match=r"both .*A\.PNG and .*a\.png would be written there"):
        plan([folder], tmp_path / "out")


def test_this_folder_tells_upper_from_lower_case(tmp_path: Path) -> None:
    (tmp_path / "case").touch()
    assert batch._ignores_case(tmp_path / "new" / "deep") == (tmp_path / "CASE").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_results_reached_by_another_path_are_no_sources(folder: Path) -> None:
    (folder.parent / "other").symlink_to(folder / "sub")
    assert [job.source.name for job in plan([folder], folder.parent / "other")] == ["a.png"]


def test_an_empty_folder_says_what_it_holds_instead(tmp_path: Path) -> None:
    (tmp_path / "moving.gif").touch()
    with pytest.raises(ValueError, match=r"found no image, .*; left out 1: moving\.gif \(\.gif is not read\)"):
        plan([tmp_path], tmp_path / "out")


@pytest.mark.parametrize("error", [MemoryError(), AssertionError(), OverflowError("palette"), RecursionError()])
def test_one_picture_that_cannot_be_decoded_does_not_stop_the_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    damaged = str(folder / "sub" / "a.png")
    load = ImageFile.ImageFile.load

    def fail(image: ImageFile.ImageFile) -> object:
        if image.fp is not None and str(image.fp.name) == damaged:
            raise error
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    restorer = Restorer(cases.model("srlut-x2-8bit"))
    said: list[str] = []
    jobs = plan([folder], tmp_path / "out")
    assert list(batch.run_all(jobs, lambda job: batch.restore_file(restorer, job), said.append)) == jobs
    assert len(said) == 1 and said[0].startswith(f"{damaged}: ") and "\n" not in said[0]
    assert [job.target.exists() for job in jobs] == [True, False, True]
