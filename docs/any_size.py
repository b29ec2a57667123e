"""Draw docs/any-size.png, the figure of the README: `python docs/any_size.py`, from the project's folder."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import lutra

SIDE, FACTOR, GAP, LABEL = 48, 3.7, 8, 18


def sheared(size: int) -> np.ndarray:
    """Return a homography that shows a square of SIDE pixels as a card that leans back, within a square of `size`."""
    source = [(0, 0), (SIDE - 1, 0), (SIDE - 1, SIDE - 1), (0, SIDE - 1)]
    target = [
        (0.2 * size, 0.08 * size),
        (0.84 * size, 0.02 * size),
        (size - 1, 0.94 * size),
        (0.02 * size, 0.98 * size),
    ]
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), np.array(right, float)), 1).reshape(3, 3)


def main() -> None:
    """Draw the photograph small, enlarged both ways, and restored through a homography."""
    photo = lutra.imresize(data.chelsea()[40:232, 110:302], 1 / 4)
    model, side = lutra.load("any-scale"), round(FACTOR * SIDE)
    small = Image.fromarray(photo)
    panels = [
        (f"{SIDE}x{SIDE}", small.resize((side, side), Image.Resampling.NEAREST)),
        (f"bicubic x{FACTOR}", small.resize((side, side), Image.Resampling.BICUBIC)),
        (f"any-scale x{FACTOR}", model.restore(small, size=(side, side))),
        ("any-scale, a homography", model.warp(small, sheared(side), (side, side))),
    ]
    sheet = Image.new("RGB", (len(panels) * (side + GAP) + GAP, side + LABEL + 2 * GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (label, image) in enumerate(panels):
        left = GAP + number * (side + GAP)
        draw.text((left, GAP // 2), label, fill="black", font=font)
        sheet.paste(image, (left, LABEL + GAP))
    sheet.save(Path(__file__).with_name("any-size.png"), optimize=True)


if __name__ == "__main__":
    main()
