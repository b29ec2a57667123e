"""Score models by the protocols of the field, compare and time them."""
