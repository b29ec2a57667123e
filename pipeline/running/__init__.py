"""What surrounds a running stage: locks, needs, processes, provenance."""
