"""Tiny models whose bias is known because it was planted: the corpus, the models, the data sets, the comparison."""
