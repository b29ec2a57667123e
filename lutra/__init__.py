"""Image restoration with lookup tables: train, export, finetune and run them (SR-LUT, MuLUT, SPF-LUT, AutoLUT)."""

from typing import TYPE_CHECKING, Any

from lutra import distribution

if TYPE_CHECKING:
    from lutra.restore.restorer import Restorer, load

__version__ = distribution.version()

__all__ = ["Restorer", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` and `Restorer` when they are first used: the rest of the library needs neither."""
    if name in ("load", "Restorer"):
        from lutra.restore import restorer

        return getattr(restorer, name)
    raise AttributeError(f"module 'lutra' has no attribute {name!r}")
