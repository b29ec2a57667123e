"""The published families, one file each."""
