"""RP3beta (Paudel et al. 2017)."""
