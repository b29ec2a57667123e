"""The stages: prepare, train, export, finetune, evaluate and report. Start reading here."""
