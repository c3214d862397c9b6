"""Image generators in the MLflow registry: package, gate, evidence."""
