"""What the programs do before they import torch and transformers."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Let the garbage collector wait for 200,000 new objects instead of 700.

    The million that those libraries leave behind when they are imported would be walked again and again: 0.5 s of the
    4.5 that `python -m training` takes to start, 1.1 of 7 until `stereoscope eval` scores.
    """
    gc.set_threshold(200_000)
