"""Image restoration with lookup tables: train, export, finetune and run them (SR-LUT, MuLUT, SPF-LUT, AutoLUT)."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutra.restore.restorer import Restorer, load

try:
    __version__ = version("lutra")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["Restorer", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` and `Restorer` when they are first used: the rest of the library needs neither."""
    if name in ("load", "Restorer"):
        from lutra.restore import restorer

        return getattr(restorer, name)
    raise AttributeError(f"module 'lutra' has no attribute {name!r}")
