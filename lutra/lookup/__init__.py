"""Differentiable lookup: taps and a table in, interpolated values out."""

from lutra.lookup.reference import lookup

__all__ = ["lookup"]
