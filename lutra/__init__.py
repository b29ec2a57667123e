"""Image restoration with lookup tables: train, export, finetune and run them (SR-LUT, MuLUT, SPF-LUT, AutoLUT).

`load` makes a model ready to restore, and `models` lists those that come with the library. `as_module` returns a model
as a module of torch. `evaluate` scores a model on a folder of images; `psnr`, `ssim` and `imresize` are the field's.
Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutra.evaluation.evaluating import evaluate
    from lutra.imaging.metrics import psnr, ssim
    from lutra.imaging.resize import imresize
    from lutra.restore.modules import as_module
    from lutra.restore.restorer import Restorer, load
    from lutra.zoo import listed as models

    __version__: str

__all__ = ["Restorer", "__version__", "as_module", "evaluate", "imresize", "load", "models", "psnr", "ssim"]

_HOMES = {
    "Restorer": "lutra.restore.restorer",
    "as_module": "lutra.restore.modules",
    "evaluate": "lutra.evaluation.evaluating",
    "imresize": "lutra.imaging.resize",
    "load": "lutra.restore.restorer",
    "models": "lutra.zoo:listed",
    "psnr": "lutra.imaging.metrics",
    "ssim": "lutra.imaging.metrics",
}
"""The module of each name, and its name there where that differs."""


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first used."""
    if name == "__version__":
        from lutra import distribution

        return distribution.version()
    if name not in _HOMES:
        raise AttributeError(f"module 'lutra' has no attribute {name!r}")
    module, _, own = _HOMES[name].partition(":")
    return getattr(import_module(module), own or name)


def __dir__() -> list[str]:
    """Return the names that the package offers."""
    return __all__
