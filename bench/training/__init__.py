"""Fit one model, evaluate one model."""
