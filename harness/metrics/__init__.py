"""Pure functions: records of items in, scores out, a module a benchmark; `statistics.py` knows all about uncertainty.

Imports `data`'s row types, never a model. A new benchmark registers itself in `benchmarks.py`.
"""
