"""What a program shows on a terminal and leaves in a log file: lines, progress bars, help, suggestions, tables.

Imports nothing of ours, and no heavy library: every command starts here. Start with `logs.py`.
"""
