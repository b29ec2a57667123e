"""Read and write the published systems' own files."""
