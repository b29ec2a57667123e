"""The image sets: catalogue, downloads, synthetic images, packed arrays."""
