"""Restoration models as plain data: descriptions, layouts, artifacts, families. Needs no torch."""
