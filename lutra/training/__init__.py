"""Train, export and finetune models, in torch.

`fit` trains a model on images; `new_tables` makes one, `Images` holds the images, `save` writes the result.
docs/library.md shows them together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutra.training.fitting import Settings, Watcher, fit
    from lutra.training.images import Images
    from lutra.training.models import new_tables, save

_MODULES = {
    **dict.fromkeys(("Settings", "Watcher", "fit"), "fitting"),
    "Images": "images",
    **dict.fromkeys(("new_tables", "save"), "models"),
}

__all__ = ["Images", "Settings", "Watcher", "fit", "new_tables", "save"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: images and patches need no torch."""
    if name in _MODULES:
        return getattr(import_module(f"lutra.training.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lutra.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
