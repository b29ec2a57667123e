"""The surroundings of a running stage: locks, needs, processes, provenance."""
