"""The packaged recommender, the gate, and the MLflow registry."""
