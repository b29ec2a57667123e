"""Commands besides the stages: new experiments, dvc.yaml, benchmarks of training."""
