"""The rivals that keep us honest: rules without a model, checkpoints of `transformers`, and remote services."""
