"""What `benchmarks/bench.py` times: a file for each kind of work."""
