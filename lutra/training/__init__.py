"""Train, export and finetune models, in torch.

`read_images` reads a folder, `new_tables` makes a model, `fit` trains it, `save` writes it to a file.
docs/library.md shows them together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lutra.limits import wait_passively

if TYPE_CHECKING:
    from lutra.training.fitting import Settings, Watcher, fit
    from lutra.training.pairs import Images
    from lutra.training.quickstart import new_tables, read_images, save

wait_passively()  # before a module of this package imports torch

_MODULES = {
    **dict.fromkeys(("Settings", "Watcher", "fit"), "fitting"),
    "Images": "pairs",
    **dict.fromkeys(("new_tables", "read_images", "save"), "quickstart"),
}

__all__ = ["Images", "Settings", "Watcher", "fit", "new_tables", "read_images", "save"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, because images and patches need no torch."""
    if name in _MODULES:
        return getattr(import_module(f"lutra.training.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lutra.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
