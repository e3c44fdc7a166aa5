"""What lies on disk: files that are whole or absent, digests of weights, result folders with their provenance.

Imports `machine` and `data` only. Start with `results.py`: a scored model is a results file and its samples.
"""
