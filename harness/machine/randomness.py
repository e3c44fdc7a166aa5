"""The random state of a program that calls this one: scoring and training set seeds of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Afterwards Python, numpy and torch draw what they would have drawn without what happened inside.

    Else a model that is scored once an epoch would be trained on one order of data and one set of dropped units.
    """
    import numpy as np
    import torch

    # numpy's global state is what libraries draw from, whatever new code should do.
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
