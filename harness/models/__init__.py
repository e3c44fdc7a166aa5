"""lm-eval model classes, causal, masked and encoder-decoder; `any.py` picks by a checkpoint's config.

Imports `data`, `storage` and `machine`. Start with `base.py`.
"""
