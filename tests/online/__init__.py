"""Tests of recgan.online."""
