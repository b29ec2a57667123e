"""Image restoration with lookup tables: train, export, finetune and run them (SR-LUT, MuLUT, SPF-LUT, AutoLUT)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lutra")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
