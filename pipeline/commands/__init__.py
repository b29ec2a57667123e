"""The commands of `python -m pipeline`, a module for each group of them."""
