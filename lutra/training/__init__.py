"""Train, export and finetune models, in torch."""
