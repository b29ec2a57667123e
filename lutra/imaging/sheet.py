"""Comparison sheets, like figures in papers: the whole image next to zoomed crops of every method."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lutra.imaging.colour import rgb_to_y, to_three_channels

Panel = tuple[str, str, NDArray[np.uint8]]

_PAPER, _INK, _FAINT, _MARK = "#ffffff", "#111111", "#5a5a5a", "#e6231e"
_CELL = 280  # approximate side of a zoomed crop, in pixels of the sheet, which all sizes below are in too
_GAP, _MARGIN = 14, 18
_LABEL_SIZE, _CAPTION_SIZE, _SMALLEST_SIZE = 21, 18, 11
_TEXT_HEIGHT = 58  # height of the two lines under a picture
_WIDE = 1.7  # width by height from which the whole image stands above the crops instead of next to them


@dataclass(frozen=True)
class Crop:
    """A region of the HR image, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this region of an (H, W, ...) image, as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def comparison_sheet(panels: Sequence[Panel], *, title: str = "", crop: Crop | None = None) -> Image.Image:
    """Draw the whole of the last panel with the crop boxed, and the zoomed crop of every panel.

    Args:
        panels: (label, caption, image) in the order shown, the truth (HR) last. A caption is one line such as
            "29.83 dB / 0.8478", or empty. Images are (H, W) or (H, W, 3) uint8; those smaller than HR, such as
            LR, are enlarged by repeating pixels, by a whole factor.
        title: label of the whole image, such as its name.
        crop: the region shown; by default `choose_crop`'s.

    Returns:
        An RGB image.

    Raises:
        ValueError: there are fewer than two panels, the size of an image does not fit HR's, or the crop is not
            within HR.
    """
    if len(panels) < 2:
        raise ValueError(f"comparison sheet: found {len(panels)} panels, expected two or more")
    truth = to_three_channels(panels[-1][2])
    images = [_enlarged(label, image, truth.shape) for label, _, image in panels]
    if crop is None:
        methods = [image for image, panel in zip(images, panels, strict=True) if len(panel[2]) == len(truth)]
        align = max(len(truth) // len(image) for _, _, image in panels)
        crop = choose_crop(methods[:-1], truth, align=align)
    height, width = truth.shape[:2]
    fits = 0 <= crop.top < crop.top + crop.height <= height and 0 <= crop.left < crop.left + crop.width <= width
    if not fits:
        raise ValueError(f"crop: found {crop}, expected a region within {height} rows and {width} columns")
    zoom = max(1, round(_CELL / max(crop.height, crop.width)))
    cells = [crop.of(image).repeat(zoom, 0).repeat(zoom, 1) for image in images]
    return _arranged(truth, crop, cells, title, [(label, caption) for label, caption, _ in panels])


def choose_crop(methods: Sequence[NDArray[np.uint8]], truth: NDArray[np.uint8], *, align: int = 1) -> Crop:
    """Return the square with the most detail in the truth where the methods differ most.

    Args:
        methods: (H, W) or (H, W, 3) uint8 each. One alone is compared with the truth; without any, detail alone counts.
        truth: the same size.
        align: the square's position is a multiple of this, and so is its side where it can be: the scale, so
            that no pixel of LR is cut.
    """
    luma = _luma(truth)
    framed = np.pad(luma, 1, mode="edge")
    across, down = framed[1:-1, 2:] - framed[1:-1, :-2], framed[2:, 1:-1] - framed[:-2, 1:-1]
    detail = np.square(across) + np.square(down)
    if len(methods) > 1:
        differing = np.var(np.stack([_luma(image) for image in methods]), axis=0)
    else:
        differing = np.square(_luma(methods[0]) - luma) if methods else np.ones_like(luma)
    shortest = min(luma.shape)
    side = min(shortest, max(48, min(96, shortest // 4)))
    side = max(side - side % align, 1)
    score = (_box_sums(detail, side) * _box_sums(differing, side))[::align, ::align]
    row, column = np.unravel_index(np.argmax(score), score.shape)
    return Crop(int(row) * align, int(column) * align, side, side)


def _luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return rgb_to_y(to_three_channels(image))


def _box_sums(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums over every square of `side` pixels that lies within the (H, W) plane."""
    corners = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    strips: NDArray[np.float64] = corners[side:] - corners[:-side]
    return strips[:, side:] - strips[:, :-side]


def _enlarged(label: str, image: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    image = to_three_channels(image)
    height, width = image.shape[:2]
    factor = shape[0] // max(height, 1)
    if factor < 1 or (height * factor, width * factor) != shape[:2]:
        found = f"{width} x {height} pixels"
        raise ValueError(f"panel {label!r}: found {found}, expected a whole part of {shape[1]} x {shape[0]}")
    return image.repeat(factor, 0).repeat(factor, 1)


def _arranged(
    truth: NDArray[np.uint8],
    crop: Crop,
    cells: Sequence[NDArray[np.uint8]],
    title: str,
    texts: Sequence[tuple[str, str]],
) -> Image.Image:
    """Lay out the whole image and the cells: side by side, or one above the other if the image is wide."""
    cell_height, cell_width = cells[0].shape[:2]
    aspect = truth.shape[1] / truth.shape[0]
    columns = len(cells) if len(cells) < 4 else ceil(len(cells) / 2)
    if aspect >= _WIDE and len(cells) == 4:
        columns = 4
    rows = ceil(len(cells) / columns)
    grid_width = columns * (cell_width + _GAP) - _GAP
    grid_height = rows * (cell_height + _TEXT_HEIGHT + _GAP) - _GAP
    if aspect < _WIDE:
        whole_size = round((grid_height - _TEXT_HEIGHT) * aspect), grid_height - _TEXT_HEIGHT
        left, top = whole_size[0] + 2 * _GAP, 0
        size = left + grid_width, grid_height
    else:
        whole_size = grid_width, round(grid_width / aspect)
        left, top = 0, whole_size[1] + _TEXT_HEIGHT + _GAP
        size = grid_width, top + grid_height
    sheet = Image.new("RGB", (size[0] + 2 * _MARGIN, size[1] + 2 * _MARGIN), _PAPER)
    whole = _marked(truth, crop, whole_size)
    _place(sheet, whole, (_MARGIN, _MARGIN), title or texts[-1][0], f"{truth.shape[1]} x {truth.shape[0]} pixels")
    for index, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        row, column = divmod(index, columns)
        missing = max(0, (row + 1) * columns - len(cells))
        x = _MARGIN + left + column * (cell_width + _GAP) + missing * (cell_width + _GAP) // 2
        y = _MARGIN + top + row * (cell_height + _TEXT_HEIGHT + _GAP)
        _place(sheet, Image.fromarray(cell), (x, y), *text)
    return sheet


def _marked(truth: NDArray[np.uint8], crop: Crop, size: tuple[int, int]) -> Image.Image:
    """Return the whole image at the given size, with a box around the crop."""
    whole = Image.fromarray(truth).resize(size, Image.Resampling.LANCZOS)
    across, down = size[0] / truth.shape[1], size[1] / truth.shape[0]
    draw = ImageDraw.Draw(whole)
    for grow, colour, width in ((3, _PAPER, 5), (2, _MARK, 3)):  # the light rim shows on dark and on red
        edge = 3 - grow  # a box at the image's edge stays visible
        box = (
            max(crop.left * across - grow, edge),
            max(crop.top * down - grow, edge),
            min((crop.left + crop.width) * across - 1 + grow, size[0] - 1 - edge),
            min((crop.top + crop.height) * down - 1 + grow, size[1] - 1 - edge),
        )
        draw.rectangle(box, outline=colour, width=width)
    return whole


def _place(sheet: Image.Image, picture: Image.Image, at: tuple[int, int], label: str, caption: str) -> None:
    """Paste a picture with its two lines of text centred underneath."""
    sheet.paste(picture, at)
    draw = ImageDraw.Draw(sheet)
    centre, bottom = at[0] + picture.width / 2, at[1] + picture.height
    for text, size, colour, below in (
        (label, _LABEL_SIZE, _INK, 20),
        (caption, _CAPTION_SIZE, _FAINT, 44),
    ):
        font = ImageFont.load_default(size)
        while size > _SMALLEST_SIZE and font.getlength(text) > picture.width:
            size -= 1
            font = ImageFont.load_default(size)
        if font.getlength(text) > picture.width:
            fitting = (text[:end] + "..." for end in range(len(text), 0, -1))
            text = next((short for short in fitting if font.getlength(short) <= picture.width), "")
        draw.text((centre, bottom + below), text, fill=colour, font=font, anchor="mm")
