"""What a notebook or a script calls: `from harness import score, finetune, run, report, compare`; a file each.

May import every room and `training`, and only the command line and `harness/__init__.py` import it. Logic lives in the
rooms; here stand the keywords, the defaults and what comes back. Start with `score.py`.
"""
