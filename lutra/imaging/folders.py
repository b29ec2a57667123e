"""Image sets in folders: find the layouts in use, and pair clean images with degraded ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFile

from lutra.imaging.decoding import SUFFIXES, open_image
from lutra.imaging.walk import left_out_of, say_left_out, summary, walk

LAYOUTS = "images, HR/ (with LR_bicubic/X4/), NAME_HR/, image_SRF_4/, BSDS500's images/, blur/ and sharp/"
_MOST_NAMED = 5  # the most files that an error names
_DEEPEST = 4  # the most folders in each other that are looked through
_CLEAN_AND_DEGRADED = (("target", "input"), ("sharp", "blur"))
_BSDS = ("images", "data/images", "BSDS500/data/images", "BSR/BSDS500/data/images")
_SRF = re.compile(r"(.+)_SRF_(\d+)_(HR|LR)")


@dataclass(frozen=True)
class Entry:
    """One image of a set."""

    name: str
    """Unique within the set: the clean image's file name, with folders before it (`/`) where file names repeat."""
    target: Path
    """The clean image."""
    input: Path | None
    """The degraded image of it, where the folder holds one for the scale."""


_Image = tuple[tuple[str, ...], Path, Path | None]
"""Folders above the file for its name, the clean image, the degraded one."""


@dataclass(frozen=True)
class _Found:
    """The content of a layout."""

    images: list[_Image]
    stray: list[Path]  # degraded images without a clean one


def find_images(folder: str | Path, scale: int = 1, *, pairs: bool = False) -> list[Entry]:
    """Find the images of a set, whichever layout its folder has, sorted by name; hidden files are left out.

    Known are images directly in the folder; `HR/` with `LR_bicubic/X4/`; `DIV2K_train_HR/` with
    `DIV2K_train_LR_bicubic/X4/`, and other names before `_HR`; `image_SRF_4/`; BSDS500's `images/train/`, `val/`
    and `test/`; `blur/` with `sharp/` and `input/` with `target/`, also one folder a sequence, as in GoPro. A single
    folder around any of them is looked through.

    Args:
        folder: the set.
        scale: height and width of a clean image over those of its degraded one.
        pairs: whether every clean image needs a degraded one of a fitting size, and every degraded one a clean one. A
            clean image whose sides are no multiples of the scale is cropped by `modcrop` first.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is no folder, holds no image in a known layout, or the pairs are not as above; names the files.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder, expected a folder of images")
    if not folder.is_dir():
        raise ValueError(f"{folder}: found a file, expected a folder of images")
    found = _look(folder, scale, pairs)
    if found is None:
        expected = f"expected files ending in {', '.join(SUFFIXES)} as {LAYOUTS}"
        left_out = walk(folder).left_out
        raise ValueError(
            f"{folder}: found no image, {expected}" + (f"; {summary(folder, left_out)}" if left_out else "")
        )
    entries = _named(found)
    if pairs:
        _check_pairs(folder, entries, found.stray, scale)
    return entries


def _look(folder: Path, scale: int, pairs: bool, depth: int = 0) -> _Found | None:
    layouts: tuple[Callable[[Path, int, bool], _Found | None], ...] = (_clean_and_degraded, _hr, _srf, _bsds, _flat)
    for layout in layouts:
        found = layout(folder, scale, pairs)
        if found is not None and (found.images or found.stray):
            return found
    inside = _folders(folder)
    # degraded images alone are no set
    alone = len(inside) == 1 and "LR" not in inside[0].name
    return _look(inside[0], scale, pairs, depth + 1) if alone and depth < _DEEPEST else None


def _flat(folder: Path, scale: int, pairs: bool) -> _Found | None:
    images: list[_Image] = [((), path, None) for path in _images(folder)]
    if images:
        say_left_out(folder, left_out_of(folder))
    return _Found(images, [])


def _clean_and_degraded(folder: Path, scale: int, pairs: bool) -> _Found | None:
    """Find `blur/` and `sharp/` here, in the folders here (sequences), or one level below `train/` and `test/`."""
    places = [folder]
    for _ in range(3):
        for clean, degraded in _CLEAN_AND_DEGRADED:
            if any((place / clean).is_dir() and (place / degraded).is_dir() for place in places):
                return _joined(
                    _match(place / clean, _images(place / degraded), 1, place.relative_to(folder).parts)
                    for place in places
                )
        places = [inside for place in places for inside in _folders(place)]
    return None


def _hr(folder: Path, scale: int, pairs: bool) -> _Found | None:
    """Find `HR/` and `LR_bicubic/X4/`, each with or without a name before it."""
    inside = [path for path in _folders(folder) if path.name == "HR" or path.name.endswith("_HR")]
    return _joined(
        _match(path, _images(path.with_name(f"{path.name[:-2]}LR_bicubic") / f"X{scale}"), scale, (path.name,))
        for path in inside
    )


def _srf(folder: Path, scale: int, pairs: bool) -> _Found | None:
    """Find `image_SRF_4/img_001_SRF_4_HR.png` and `..._LR.png`; the results of other methods there are left out."""
    scales: dict[int, dict[str, dict[str, Path]]] = {}
    for place in (folder, *(path for path in _folders(folder) if path.name.startswith("image_SRF_"))):
        for path in _images(place):
            if match := _SRF.fullmatch(path.stem):
                scales.setdefault(int(match[2]), {"HR": {}, "LR": {}})[match[3]][match[1]] = path
    if not scales:
        return None
    if pairs and scale not in scales:
        known = ", ".join(map(str, sorted(scales)))
        raise ValueError(f"{folder}: found images for scale {known}, expected some for scale {scale}")
    chosen = scales[scale if scale in scales else min(scales)]
    lr = chosen["LR"] if scale in scales else {}
    images: list[_Image] = [((), path, lr.get(key)) for key, path in chosen["HR"].items()]
    return _Found(images, [path for key, path in lr.items() if key not in chosen["HR"]])


def _bsds(folder: Path, scale: int, pairs: bool) -> _Found | None:
    for place in (folder, *(folder / name for name in _BSDS)):
        parts = [place / part for part in ("train", "val", "test")]
        images: list[_Image] = [((path.parent.name,), path, None) for part in parts for path in _images(part)]
        if images:
            return _Found(images, [])
    return None


def _match(clean: Path, degraded: Sequence[Path], scale: int, above: tuple[str, ...]) -> _Found:
    """Pair images by file name without suffix; that of the degraded one may end in x4."""
    by_name = {path.stem: path for path in degraded}
    images: list[_Image] = []
    used = set()
    for path in _images(clean):
        mate = by_name.get(f"{path.stem}x{scale}") or by_name.get(path.stem)
        images.append((above, path, mate))
        used.add(mate)
    return _Found(images, [path for path in degraded if path not in used])


def _joined(parts: Iterable[_Found]) -> _Found:
    images: list[_Image] = []
    stray: list[Path] = []
    for part in parts:
        images += part.images
        stray += part.stray
    return _Found(images, stray)


def _named(found: _Found) -> list[Entry]:
    """Name the images by as few folders as tell them apart."""
    paths = [(*above, target.name) for above, target, _ in found.images]
    longest = max(map(len, paths), default=1)
    for length in range(1, longest + 1):
        names = ["/".join(path[-length:]) for path in paths]
        if max(Counter(names).values(), default=0) == 1:
            break
    entries = [Entry(name, target, mate) for name, (_, target, mate) in zip(names, found.images, strict=True)]
    return sorted(entries, key=lambda entry: entry.name)


def _check_pairs(folder: Path, entries: Sequence[Entry], stray: Sequence[Path], scale: int) -> None:
    alone = [entry.target for entry in entries if entry.input is None] + sorted(stray)
    if alone:
        named = ", ".join(path.relative_to(folder).as_posix() for path in alone[:_MOST_NAMED])
        more = f" and {len(alone) - _MOST_NAMED} more" if len(alone) > _MOST_NAMED else ""
        wanted = f"a degraded image of scale {scale} for each clean one and the other way round"
        raise ValueError(f"{folder}: found {named}{more} without its pair, expected {wanted}")
    for entry in entries:
        assert entry.input is not None
        width, height = image_size(entry.target)
        small = image_size(entry.input)
        # EDSR's sets hold HR as published, and LR of HR cropped to a multiple of the scale, from the top left.
        if (width // scale, height // scale) != small:
            found = f"{width}x{height} pixels for {entry.input.name} of {small[0]}x{small[1]}"
            wanted = f"{small[0] * scale}x{small[1] * scale} (scale {scale})"
            raise ValueError(f"{entry.target}: found {found}, expected {wanted}")


def image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height of an image as `read_image` would, from the file's header alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no image; names the file.
    """
    return open_image(path, _upright_size, "expected an image")


def _upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    # only if the header has it: for a PNG without one, Pillow would decode the image to look behind it
    turned = "exif" in image.info and image.getexif().get(0x0112, 1) >= 5
    width, height = image.size
    return (height, width) if turned else (width, height)


def _images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    inside = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in inside if path.is_file())


def _folders(folder: Path) -> list[Path]:
    inside = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in inside if not path.name.startswith(".") and path.name != "__MACOSX")
