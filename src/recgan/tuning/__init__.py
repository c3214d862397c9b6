"""The search over any recommender's settings."""
