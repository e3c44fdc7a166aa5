"""Stereoscope's measuring side: bias benchmarks for language models on top of lm-eval, experiments, reports."""

__version__ = "0.1.0"
