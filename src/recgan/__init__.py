"""A GAN recommender that can be run in production."""
