"""Restore images: arrays, Pillow images, files and folders."""
