"""One model in, one result folder out: this is where lm-eval is called.

May import `judging` and what is below it; knows nothing of training. Start with `evaluation.py`; `eval_command.py` is
`stereoscope eval`, `job.py` what an experiment starts.
"""
