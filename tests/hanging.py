"""Training or scoring of which rank 1 hangs at a place: what the ranks of the watch's tests do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

PLACES = {
    "loading": ("training.run", "load_model", 1),
    "first step": ("training.pairs:PairDataset", "__getitem__", 1),
    "step": ("training.trainer:PairTrainer", "compute_loss", 5),
    "saving": ("training.trainer:PairTrainer", "_save_checkpoint", 1),
    "scoring": ("harness.models.causal:CausalLM", "loglikelihood", 1),
}


def hang_in(owner: Any, name: str, call: int) -> None:
    """Let a function of rank 1 never come back from its n-th call."""
    function, calls = getattr(owner, name), 0

    def hanging(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        while os.environ["RANK"] == "1" and calls >= call:
            time.sleep(1)
        return function(*arguments, **options)

    setattr(owner, name, hanging)


def run(where: str, words: Sequence[str]) -> None:
    """Train or score with these flags, of which rank 1 hangs at that place."""
    place, name, call = PLACES[where]
    hang_in(resolve_name(place), name, call)
    if where == "scoring":
        sys.argv = ["stereoscope", *words]
        resolve_name("harness.cli:main")()
    else:
        resolve_name("training.run:main")(list(words))
