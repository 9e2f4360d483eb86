"""Regression gates for CI: what a change did to sizes, accuracy and speed, judged against a stored baseline."""
