"""Clips restored by a small model, and the planes that are expected of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lutra.restore.restorer import Restorer
from lutra.video.clip import Order, by_model, convert_clip
from lutra.video.demux import Part


def restore(restorer: Restorer, source: Path, target: Path, **order: Any) -> list[str]:
    """Restore without loss where nothing else is asked for; return what is reported."""
    part = Part(**{key: order.pop(key) for key in ("start", "frames", "deinterlace") if key in order})
    reported: list[str] = []
    options: dict[str, Any] = {"codec": "ffv1", "threads": 1} | order
    convert_clip(source, target, Order(part, **options), by_model(restorer, 1), reported.append)
    return reported


def expected(restorer: Restorer, planes: Sequence[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """Restore planes one by one; chroma is cut to its share of the enlarged size."""
    scale = restorer.scale
    made = [restorer.restore_planes(np.ascontiguousarray(plane)) for plane in planes]
    shares = [(-(-size[1] // plane.shape[0]), -(-size[0] // plane.shape[1])) for plane in planes]
    return [
        plane[: -(-size[1] * scale // rows), : -(-size[0] * scale // columns)]
        for plane, (rows, columns) in zip(made, shares, strict=True)
    ]
