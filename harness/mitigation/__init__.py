"""Mitigation without gradient steps: a projection of the last hidden state, written into a model folder's weights.

Imports `models`, `data`, `storage` and `machine`; knows nothing of tasks, training and reports. Training takes the
words for groups from here. Start with `project.py`; a method is one file (`sentence_debias.py`, `inlp.py`, `leace.py`)
and one line in `kinds.py`.
"""
