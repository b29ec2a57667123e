"""AutoLUT's real numbers as the integers that ship: sampling weights and AdaRL's shares. Needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model.description import MIX_BITS, WEIGHT_BITS


def sampling_weights(logits: NDArray[Any]) -> NDArray[np.int16]:
    """The softmax of each row, as whole multiples of 2^-WEIGHT_BITS that sum to exactly 1.

    What rounding left over goes to each row's largest weight.

    Args:
        logits: (4, kernel * kernel), before the softmax.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    weights = powers / powers.sum(axis=1, keepdims=True)
    whole = np.rint(weights * 2**WEIGHT_BITS)
    rows = np.arange(len(whole))
    whole[rows, weights.argmax(axis=1)] += 2**WEIGHT_BITS - whole.sum(axis=1)
    return np.asarray(whole, dtype=np.int16)


def adarl_shares(mix: NDArray[Any]) -> NDArray[np.int16]:
    """The shares of the previous group's taps, limited to 0..1, as whole multiples of 2^-MIX_BITS."""
    return np.asarray(np.rint(mix.astype(np.float64).clip(0, 1) * 2**MIX_BITS), dtype=np.int16)
