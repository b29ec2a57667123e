"""LPIPS, the perceptual distance by features of a network (Zhang et al., CVPR 2018); needs the package lpips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra import distribution
from lutra.imaging.colour import to_three_channels
from lutra.limits import wait_passively

Image = NDArray[np.uint8]


def lpips_measure(**options: Any) -> Callable[[Image, Image], float]:
    """Return a function that measures the distance of two images (H, W) or (H, W, 3) uint8; 0 means equal.

    The network is AlexNet, whose weights torchvision fetches at first use.

    Args:
        options: arguments of `lpips.LPIPS`, which replace its version 0.1 on AlexNet.

    Raises:
        ValueError: the package, or a torchvision that fits torch, is not installed.
    """
    wait_passively()
    try:
        import lpips
        import torch
    except ModuleNotFoundError as error:
        way = distribution.pip_install("lpips")
        raise ValueError(f"LPIPS: package {error.name} is not installed: run `{way}`") from None
    except RuntimeError as error:  # torchvision, built for another torch
        raise ValueError(f"LPIPS: torchvision does not fit torch {torch.__version__} ({error})") from None
    network = lpips.LPIPS(**{"net": "alex", "verbose": False, **options}).eval()

    def measure(restored: Image, clean: Image) -> float:
        pair = (to_three_channels(image).transpose(2, 0, 1) for image in (restored, clean))
        first, second = (torch.from_numpy(image.astype(np.float32))[None] / 127.5 - 1 for image in pair)
        with torch.no_grad():
            return float(network(first, second))

    return measure
