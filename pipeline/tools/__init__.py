"""Tools: new experiments, dvc.yaml, benchmarks of training."""
