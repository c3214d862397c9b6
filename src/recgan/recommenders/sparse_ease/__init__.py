"""EASE with few weights for each item, for catalogues that are too large for EASE."""
