"""Models as modules of torch: `lutra.as_module`."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from lutra import distribution, limits
from lutra.model import artifact
from lutra.model.artifact import Artifact
from lutra.restore import sources
from lutra.restore.restorer import Restorer

if TYPE_CHECKING:
    from lutra.reference.restoration import Restoration


def as_module(model: str | PathLike[str] | Artifact | Restorer) -> Restoration:
    """Return a model as a `torch.nn.Module`, which restores floats 0..1 (N, C, H, W) on any device of torch.

    Its results for 8-bit images equal those of `Restorer.restore` to the last bit.

    Args:
        model: a model file, a name that `lutra.models` lists, an address, or a model that was loaded.

    Raises:
        ValueError: the model is damaged or unknown, or torch is not installed.
        OSError: it cannot be read.

    Example:
        >>> import lutra, torch
        >>> lutra.as_module("srlut-x4")(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 3, 32, 32])
    """
    limits.wait_passively()
    try:
        from lutra.reference.restoration import Restoration
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError(f"modules need torch; `{distribution.pip_install('train')}` installs it") from None
    if isinstance(model, Restorer):
        return Restoration(model.artifact)
    return Restoration(model if isinstance(model, Artifact) else artifact.load(sources.find_model(model)))
