"""Result files in, `report.json`, leaderboards, page and plots out; reads files, never models, and needs no torch.

May import `metrics`, `storage` and what is below. Start with `build.py`, then `analysis.py` and `schema.py`. The name
`harness.report` is a function of the public face.
"""
