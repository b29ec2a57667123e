"""The families of restoration models, and the torch interpreter that runs any of them."""
