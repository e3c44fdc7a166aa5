"""What lies on disk: files that are whole or absent, digests of weights, result folders with their provenance.

Imports nothing of ours but `terminal`. What others may have written is read through `reading.py`, and names in it
become paths through `names.py`. Start with `results.py`: a scored model is a results file and its samples;
`provenance.py` says what a results file tells of itself.
"""
