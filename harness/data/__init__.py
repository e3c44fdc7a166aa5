"""Readers of the benchmark data sets: where a file comes from, and typed rows out of it.

Imports nothing of ours but `machine` and `storage`. A benchmark is one reader here, e.g. `crows_pairs.py`;
`published.py` lists the published files, `sources.py` says which of them is read, `families.py` what kind of model is
asked.
"""
