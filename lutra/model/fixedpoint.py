"""AutoLUT's real numbers as the integers that ship: sampling weights and AdaRL's shares. Needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.model.description import MIX_BITS, WEIGHT_BITS

Array = NDArray[Any]


def sampling_weights(logits: Array) -> NDArray[np.int16]:
    """Return the softmax of each row, as whole multiples of 2^-WEIGHT_BITS that sum to exactly 1.

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


def adarl_shares(mix: Array) -> NDArray[np.int16]:
    """Return the shares of the previous group's taps, limited to 0..1, as whole multiples of 2^-MIX_BITS."""
    return np.asarray(np.rint(mix.astype(np.float64).clip(0, 1) * 2**MIX_BITS), dtype=np.int16)


FIXED = {"sampler": sampling_weights, "adarl": adarl_shares}
"""The fixed-point form of the learned arrays, by the last part of their names in an artifact."""


def with_fixed(name: str, array: Array) -> dict[str, Array]:
    """Return a learned array and its fixed-point form, which ships, by their names in an artifact.

    Args:
        name: the array's name, which ends in .sampler or .adarl.
        array: a sampler's logits (4, kernel * kernel), or AdaRL's mix (4,), float32.
    """
    return {name: array, f"{name}_fixed": FIXED[name.rpartition(".")[2]](array)}
