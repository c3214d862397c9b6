"""Offline evaluation: metrics, significance, the evaluation stage."""
