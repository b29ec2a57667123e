"""Checks and metadata of PNG, JPEG and TIFF files that Pillow does not cover."""
