"""The most popular items, the same for everybody."""
