"""The definition of every number, in torch."""
