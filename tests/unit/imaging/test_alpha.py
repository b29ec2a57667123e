"""Transparency: hidden colours do not bleed, areas of 0 and 255 stay exact."""

import numpy as np
import pytest

from lutra.imaging.alpha import enlarge_alpha, fill_hidden


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7), (1, 1, 3), (64, 33, 3)])
def test_hidden_pixels_get_the_colour_of_what_is_visible(shape: tuple[int, ...]) -> None:
    colour = np.zeros(shape, np.uint8)
    alpha = np.zeros(shape[:2], np.uint8)
    colour[0, 0], alpha[0, 0] = 200, 255
    assert (fill_hidden(colour, alpha) == 200).all()


def test_visible_colours_stay_and_near_ones_count_most() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    colour[:, :20], colour[:, 20:] = 10, 240
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, :4] = 1
    alpha[:, 36:] = 255
    filled = fill_hidden(colour, alpha)
    assert np.array_equal(filled[alpha > 0], colour[alpha > 0])
    assert (filled[:, 4:8] == 10).all() and (filled[:, 32:36] == 240).all()


@pytest.mark.parametrize("start", range(24, 40))
@pytest.mark.parametrize("gap", [2, 5, 16, 30])
def test_hidden_pixels_next_to_an_edge_get_that_edges_colour_wherever_it_lies(start: int, gap: int) -> None:
    colour, alpha = np.zeros((20, 80, 3), np.uint8), np.full((20, 80), 255, np.uint8)
    colour[:, :start], colour[:, start + gap :] = (255, 0, 0), (0, 0, 255)
    alpha[:, start : start + gap] = 0
    filled = fill_hidden(colour, alpha)
    half = min(gap // 2, 16)
    assert (filled[:, start : start + half] == (255, 0, 0)).all()
    assert (filled[:, start + gap - half : start + gap] == (0, 0, 255)).all()


def test_pixels_beyond_the_rings_get_the_mean() -> None:
    colour, alpha = np.zeros((1, 40, 3), np.uint8), np.zeros((1, 40), np.uint8)
    colour[0, :10], alpha[0, :10] = 100, 255
    colour[0, 10:20], alpha[0, 10:20] = 200, 255
    filled = fill_hidden(colour, alpha, 3)
    assert (filled[0, 20:23] == 200).all() and (filled[0, 23:] == round((10 * 100 + 13 * 200) / 23)).all()


def test_nothing_changes_where_nothing_or_everything_is_hidden() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    for alpha in (np.zeros((5, 5), np.uint8), np.ones((5, 5), np.uint8)):
        assert fill_hidden(colour, alpha) is colour


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_flat_alpha_stays_exact(scale: int) -> None:
    alpha = np.zeros((20, 20), np.uint8)
    alpha[:, 10:] = 255
    enlarged = enlarge_alpha(alpha, scale)
    assert enlarged.shape == (20 * scale, 20 * scale)
    assert (enlarged[:, : 8 * scale] == 0).all() and (enlarged[:, 12 * scale :] == 255).all()
