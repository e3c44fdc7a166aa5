"""Experiments whose truth is known, drawn with the real sizes of target terms, writers and documents."""
