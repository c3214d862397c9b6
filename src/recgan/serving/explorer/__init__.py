"""The explorer: what shoppers are shown, why, and what would change it, as a page beside the answers."""
