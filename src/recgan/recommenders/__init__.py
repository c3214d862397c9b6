"""Recommenders: the protocol, the baselines, and one file per GAN recommender."""
