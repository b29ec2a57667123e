"""The pipeline: photographs in, a measured table out. Runs from the checkout; not part of the wheel."""
