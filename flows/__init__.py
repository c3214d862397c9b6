"""Prefect flows: when things run, and everything with an outside effect."""
