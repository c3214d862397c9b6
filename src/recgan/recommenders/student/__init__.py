"""The student: a linear recommender fitted on real rows and on what its teachers generate."""
