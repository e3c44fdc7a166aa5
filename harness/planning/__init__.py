"""What an experiment's fine-tuning would take, by arithmetic, before anything starts.

May import `training`'s settings, `metrics` and what is below it; loads no weights. Start with `planned_model.py` (a
model with its settings merged) and `memory.py`; `plan_table.py` is `stereoscope plan`.
"""
