"""A model as a module of torch that restores pictures: floats 0..1 in and out, as bytes inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lutra.imaging.colour import BLACK, LUMA
from lutra.imaging.resize import imresize
from lutra.model.artifact import Artifact
from lutra.reference.convert import from_artifact


class Restoration(nn.Module):
    """A model that restores batches of pictures on any device. It is not differentiable: `lutra.training` trains.

    Its tables are parameters without gradients, so that `.to(device)`, `state_dict()` and `load_state_dict()` work as
    for every module. They stay float32: `.half()` moves nothing, and the input alone decides the type of the result.

    scale: the factor by which each side of a picture grows. any_size: whether `Restorer` makes other sizes with it.
    task: the task that it was trained for. options: the task's options, such as {"sigma": 25}.
    channels: the numbers of channels that it takes: gray, or red, green and blue.
    least_side, multiple_of: the limits of a side of a picture; both are 1, because any side is allowed.
    radius: how far from a pixel its result depends on others, in pixels; tiles have to overlap by it.
    """

    channels = (1, 3)
    least_side = 1
    multiple_of = 1

    def __init__(self, model: Artifact) -> None:
        """Take a loaded artifact; `lutra.as_module` takes a name or a file."""
        super().__init__()
        description = model.description
        self.model = from_artifact(model).requires_grad_(False)
        self.scale, self.any_size = description.scale, description.any_size is not None
        self.task, self.options = model.task, dict[str, Any](model.options)
        self.radius = description.radius
        self._of_luma = model.trained_planes == "luma"

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Restore a batch of pictures.

        Args:
            image: (N, 1 or 3, H, W) floats 0..1, which are clipped, multiplied by 255 and rounded half to even.

        Returns:
            (N, the same channels, scale * H, scale * W) of the same type: what `Restorer.restore` makes, over 255.

        Raises:
            ValueError: the image has another shape or type.
        """
        if image.ndim != 4 or image.shape[1] not in self.channels or not image.is_floating_point() or not image.numel():
            found = f"{image.dtype} of shape {tuple(image.shape)}"
            raise ValueError(f"image is {found}, expected floats 0..1 (N, 1 or 3, H, W), not empty")
        with torch.autocast(image.device.type, enabled=False):
            real = image if image.dtype == torch.float64 else image.float()
            pixels = (real.clamp(0, 1) * 255).round().to(torch.uint8)
            restored = self._luma(pixels) if self._of_luma else self._planes(pixels)
            return (restored.to(real.dtype) / 255).to(image.dtype)

    def extra_repr(self) -> str:
        """Return what the model is, for `repr`."""
        return f"{self.task} x{self.scale}, {self.model.description.family}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Restoration:
        """Move the tables to another device, but keep their type, which holds them exactly."""
        super()._apply(  # type: ignore[no-untyped-call]
            lambda tensor: tensor.to(fn(tensor).device), recurse
        )
        return self

    def _planes(self, pixels: Tensor) -> Tensor:
        """Restore every plane by itself, or red, green and blue together; gray then as three equal colours."""
        together, count = self.model.description.colours, pixels.shape[1]
        if count < together:
            restored = self.model.restore(pixels.expand(-1, together, -1, -1)).int()
            return ((restored.sum(dim=1, keepdim=True) + 1) // together).to(torch.uint8)
        apart = self.model.restore(pixels.reshape(-1, together, *pixels.shape[2:]))
        return apart.reshape(-1, count, *apart.shape[2:])

    def _luma(self, pixels: Tensor) -> Tensor:
        """Restore the luma and keep the chroma; where sizes grow, that of bicubic interpolation, made on the CPU."""
        stored = _luma_of(pixels).round()
        restored = self.model.restore(stored.to(torch.uint8))
        if self.scale == 1:  # a luma that the model does not change must stay, so its rounding does not count
            return _with_change(pixels, restored - stored)
        images = pixels.permute(0, 2, 3, 1).cpu().numpy()
        enlarged = np.stack([imresize(image, self.scale) for image in images])
        base = torch.from_numpy(enlarged).permute(0, 3, 1, 2).to(pixels.device)
        return _with_change(base, restored - _luma_of(base))


def _luma_of(pixels: Tensor) -> Tensor:
    """Return what `rgb_to_y` returns, of a batch of bytes (N, 1 or 3, H, W): (N, 1, H, W) float64, in 16..235."""
    if pixels.shape[1] == 1:
        return BLACK + pixels.double() * (219 / 255)
    luma = torch.full_like(pixels[:, :1], BLACK, dtype=torch.float64)
    for channel, weight in enumerate(LUMA):
        luma += weight * pixels[:, [channel]].double()
    return luma


def _with_change(pixels: Tensor, change: Tensor) -> Tensor:
    """Return what `with_luma` returns, of a batch (N, 1 or 3, H, W) and the change of its luma (N, 1, H, W)."""
    return (pixels + change * (255 / 219)).round().clamp(0, 255).to(torch.uint8)
