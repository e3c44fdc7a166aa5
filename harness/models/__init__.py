"""lm-eval `LM` classes, chosen by architecture."""
