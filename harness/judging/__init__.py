"""The second pass of generation tasks: saved texts to labels, by classifiers and word lists.

May import `models`, `metrics` and what is below them; loads no language model. Start with `judges.py`, which picks the
judge of a task, and `saved_texts.py`, which judges what lies in a results folder.
"""
