"""Mitigation that changes how a model is asked and none of its weights: recipes, applied to each prediction.

Imports `storage`; knows nothing of models, tasks and reports. Start with `recipe.py`; a method is one file
(`self_debias.py`, `prompt.py`) and one line in `kinds.py`.
"""
