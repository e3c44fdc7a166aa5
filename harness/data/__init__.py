"""Readers of the benchmark data sets: where a file comes from, and typed rows out of it.

Imports nothing of ours but `machine` and `storage`. A benchmark is one reader here, e.g. `crows_pairs.py`; `sources.py`
says which file is read, `families.py` what kind of model is asked.
"""
