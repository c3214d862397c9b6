"""Several seeds of one recommender, averaged."""
