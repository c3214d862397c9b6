"""Recommendations over HTTP, as they are asked for."""
