"""Processes, devices and how work is spread over them; knows no model and no data.

Imports `storage` and `terminal` only, so `training` and every other room may import from here. Start with
`strategy.py` (what an accelerate config asks for) and `watch.py` (processes of one launch that watch each other).
"""
