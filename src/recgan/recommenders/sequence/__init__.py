"""A sequence model: causal self-attention over a history in its order."""
