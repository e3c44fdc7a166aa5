"""Checkpoints made without training: a job takes the base, and what was trained, and leaves checkpoint folders.

Imports `models`, `storage`, `data` and `machine`; knows nothing of tasks and reports. Start with `job.py`; `noise.py`
is how controls change weights, and `matching.py` decides by how much. `scaling.py` takes what was trained another
number of times.
"""
