"""What a restoration model is, as plain data: descriptions, layouts, artifacts, families. Needs no torch."""
