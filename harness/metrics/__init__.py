"""Pure functions from per-item records to scores: one module a benchmark, and the statistics they share."""
