"""Image sets in folders: every layout, pairs, and what is wrong with them."""

from pathlib import Path

import pytest
from PIL import Image

from lutra.imaging.folders import Entry, find_images, image_size


def put(root: Path, *names: str, size: tuple[int, int] = (8, 4)) -> None:
    """Image files of one size; a name ending in / makes a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def paths(root: Path, entries: list[Entry]) -> list[tuple[str, str | None]]:
    def within(path: Path) -> str:
        return path.relative_to(root).as_posix()

    return [(within(entry.target), within(entry.input) if entry.input else None) for entry in entries]


def test_a_flat_folder(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.jpg", ".hidden.png")
    (tmp_path / "notes.txt").touch()
    assert find_images(tmp_path) == [
        Entry("a.jpg", tmp_path / "a.jpg", None),
        Entry("b.png", tmp_path / "b.png", None),
    ]
    assert names(find_images(str(tmp_path), 4)) == ["a.jpg", "b.png"]


@pytest.mark.parametrize("degraded", ["babyx4.png", "baby.png"])
def test_hr_with_lr(tmp_path: Path, degraded: str) -> None:
    put(tmp_path, "Set5/HR/baby.png", size=(8, 12))
    put(tmp_path, f"Set5/LR_bicubic/X4/{degraded}", size=(2, 3))
    put(tmp_path, "Set5/LR_bicubic/X2/babyx2.png", size=(4, 5))
    found = [("Set5/HR/baby.png", f"Set5/LR_bicubic/X4/{degraded}")]
    assert paths(tmp_path, find_images(tmp_path / "Set5", 4, pairs=True)) == found
    assert paths(tmp_path, find_images(tmp_path, 4)) == found, "one folder around it is looked through"
    assert find_images(tmp_path, 3)[0].input is None
    with pytest.raises(ValueError, match=r"baby\.png: found 8x12 pixels for babyx2\.png of 4x5, expected 8x10"):
        find_images(tmp_path, 2, pairs=True)
    with pytest.raises(ValueError, match=r"found HR/baby\.png without its pair"):
        find_images(tmp_path / "Set5", 3, pairs=True)


def test_div2k(tmp_path: Path) -> None:
    put(tmp_path, "DIV2K_train_HR/0001.png", "DIV2K_train_HR/0002.png", "DIV2K_valid_HR/0801.png")
    put(tmp_path, "DIV2K_train_LR_bicubic/X4/0001x4.png", "DIV2K_train_LR_bicubic/X4/0002x4.png", size=(2, 1))
    put(tmp_path, "DIV2K_valid_LR_bicubic/X4/0801x4.png", size=(2, 1))
    entries = find_images(tmp_path, 4, pairs=True)
    assert names(entries) == ["0001.png", "0002.png", "0801.png"]
    assert paths(tmp_path, entries)[2] == ("DIV2K_valid_HR/0801.png", "DIV2K_valid_LR_bicubic/X4/0801x4.png")


def test_degraded_images_alone_are_no_set(tmp_path: Path) -> None:
    put(tmp_path, "DIV2K_train_LR_bicubic/X4/0001x4.png")
    with pytest.raises(ValueError, match="found no image"):
        find_images(tmp_path)


def test_image_srf(tmp_path: Path) -> None:
    for scale in (2, 4):
        stem = f"image_SRF_{scale}/img_001_SRF_{scale}"
        put(tmp_path, f"{stem}_HR.png", f"{stem}_A+.png", size=(8, 4))
        put(tmp_path, f"{stem}_LR.png", size=(8 // scale, 4 // scale))
    pair = [("image_SRF_4/img_001_SRF_4_HR.png", "image_SRF_4/img_001_SRF_4_LR.png")]
    assert paths(tmp_path, find_images(tmp_path, 4, pairs=True)) == pair
    assert paths(tmp_path, find_images(tmp_path / "image_SRF_4", 4, pairs=True)) == pair
    assert paths(tmp_path, find_images(tmp_path)) == [("image_SRF_2/img_001_SRF_2_HR.png", None)]
    with pytest.raises(ValueError, match="found images for scale 2, 4, expected some for scale 3"):
        find_images(tmp_path, 3, pairs=True)


@pytest.mark.parametrize("above", ["BSR/BSDS500/data/images", "BSDS500/data/images", "data/images", "images", "."])
def test_bsds500(tmp_path: Path, above: str) -> None:
    root = tmp_path / "x" / above
    put(root, "train/1.jpg", "val/2.jpg", "test/3.jpg")
    put(tmp_path, "x/bench/data/plot.png")
    assert names(find_images(tmp_path / "x")) == ["1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize(("clean", "degraded"), [("sharp", "blur"), ("target", "input")])
def test_blur_and_sharp(tmp_path: Path, clean: str, degraded: str) -> None:
    put(tmp_path, f"{clean}/1.png", f"{clean}/2.png", f"{degraded}/1.png", f"{degraded}/2.png")
    assert paths(tmp_path, find_images(tmp_path, pairs=True))[1] == (f"{clean}/2.png", f"{degraded}/2.png")


def test_gopro(tmp_path: Path) -> None:
    for sequence in ("train/A", "train/B", "test/C"):
        for kind in ("blur", "blur_gamma", "sharp"):
            put(tmp_path, f"GOPRO_Large/{sequence}/{kind}/000001.png")
    put(tmp_path, "__MACOSX/a.png")
    whole = find_images(tmp_path, pairs=True)
    assert names(whole) == ["A/000001.png", "B/000001.png", "C/000001.png"]
    assert {entry.input.parent.name for entry in whole if entry.input} == {"blur"}
    assert names(find_images(tmp_path / "GOPRO_Large" / "train", pairs=True)) == ["A/000001.png", "B/000001.png"]
    assert names(find_images(tmp_path / "GOPRO_Large" / "train" / "A", pairs=True)) == ["000001.png"]
    put(tmp_path, "GOPRO_Large/test/A/blur/000001.png", "GOPRO_Large/test/A/sharp/000001.png")
    assert names(find_images(tmp_path))[0] == "test/A/000001.png", "as many folders as tell the names apart"
    (tmp_path / "GOPRO_Large/train/B/blur/000001.png").unlink()
    with pytest.raises(ValueError, match=r"found GOPRO_Large/train/B/sharp/000001\.png without its pair"):
        find_images(tmp_path, pairs=True)


def test_five_unpaired_files_are_named(tmp_path: Path) -> None:
    put(tmp_path, "sharp/1.png", "blur/1.png", *(f"blur/x{number}.png" for number in range(7)))
    with pytest.raises(ValueError, match=r"found blur/x0\.png, .*blur/x4\.png and 2 more without its pair, expected"):
        find_images(tmp_path, pairs=True)
    assert names(find_images(tmp_path)) == ["1.png"]


def test_unreadable_files_of_pairs_are_named(tmp_path: Path) -> None:
    put(tmp_path, "sharp/1.png", "blur/1.png")
    (tmp_path / "blur/1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"blur/1\.png: found none of the formats"):
        find_images(tmp_path, pairs=True)


def test_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (8, 4)).save(tmp_path / "plain.png")
    assert image_size(tmp_path / "turned.jpg") == (4, 8) and image_size(tmp_path / "plain.png") == (8, 4)


def test_no_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder, expected"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="found a file"):
        find_images(tmp_path / "file")
    put(tmp_path, "one/a.png", "two/b.png")
    with pytest.raises(ValueError, match=r"found no image, expected files ending in \.png"):
        find_images(tmp_path)


def test_what_a_set_leaves_out_is_said(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "c.gif").touch()
    with pytest.warns(UserWarning, match=r"left out 2: c\.gif \(\.gif is not read\), sub/b\.png \(in a subfolder\)"):
        assert names(find_images(tmp_path)) == ["a.png"]
    (tmp_path / "a.png").unlink()
    (tmp_path / "sub" / "b.png").unlink()
    with pytest.raises(ValueError, match=r"found no image.*left out 1: c\.gif"):
        find_images(tmp_path)


def test_edsrs_layout_crops_hr_to_what_lr_shows(tmp_path: Path) -> None:
    put(tmp_path, "HR/a.png", size=(65, 50))
    put(tmp_path, "LR_bicubic/X4/ax4.png", size=(16, 12))
    assert paths(tmp_path, find_images(tmp_path, 4, pairs=True)) == [("HR/a.png", "LR_bicubic/X4/ax4.png")]
    put(tmp_path, "LR_bicubic/X4/ax4.png", size=(16, 13))
    with pytest.raises(ValueError, match=r"a\.png: found 65x50 pixels for ax4\.png of 16x13, expected 64x52"):
        find_images(tmp_path, 4, pairs=True)
