"""Importing torch and transformers, which takes most of a program's start."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_uncollected() -> Iterator[None]:
    """For heavy imports: inside, the garbage collector rests; what has come to be by the end it never walks again.

    Those libraries leave a million objects behind, which it would walk again and again while they come: 0.8 s of the
    4.6 that `python -m training` takes to start, 1.1 of 7 until `stereoscope eval` scores. Afterwards it works as
    before, for models of a finished fold or an earlier checkpoint wait for it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
