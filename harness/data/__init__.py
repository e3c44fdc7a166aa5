"""Readers of the benchmark data sets: where a file comes from, and typed rows out of it."""
