"""A training run of which rank 1 hangs where the variable HANG_IN says: launched by the tests of failure."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import training.__main__
from training.pairs import PairDataset
from training.trainer import PairTrainer

PLACES: dict[str, tuple[Any, str, int]] = {
    "loading": (training.__main__, "load_model", 1),
    "first step": (PairDataset, "__getitem__", 1),
    "step": (PairTrainer, "compute_loss", 5),
    "saving": (PairTrainer, "_save_checkpoint", 1),
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


hang_in(*PLACES[os.environ["HANG_IN"]])
training.__main__.main(sys.argv[1:])
