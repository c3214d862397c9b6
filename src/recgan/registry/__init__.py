"""MLflow for every domain: versions, the aliases that a gate moves, and where everything comes from."""
