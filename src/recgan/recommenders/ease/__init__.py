"""EASE (Steck 2019)."""
