"""Cosine between items (Sarwar et al. 2001)."""
