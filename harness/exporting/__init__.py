"""What was scored, in the formats of others: records for datastores and tables, tables for papers, model cards.

Imports `reporting`, `metrics`, `storage` and what is below; reads files, never models, and needs no torch. Start with
`source.py`, which reads a run, and `items.py`, which reads its samples; the other files each write one format.
"""
