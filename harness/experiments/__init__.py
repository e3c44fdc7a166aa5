"""The stages of an experiment, resumable, and what runs them: this machine or a Ray cluster.

The uppermost room: may import all others, and only the command line imports it. Start with `experiment.py`.
"""
