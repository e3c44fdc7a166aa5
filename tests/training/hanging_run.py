"""A training run of which rank 1 hangs when it fetches its 30th pair: launched by the tests of failure."""

from __future__ import annotations

import os
import sys
import time

from training.__main__ import main
from training.pairs import PairDataset, PairInEpoch, PairRows

fetch = PairDataset.__getitem__
fetched = 0


def hang(self: PairDataset, key: PairInEpoch) -> PairRows:
    """Fetch, and the 30th time in rank 1 never come back."""
    global fetched
    fetched += 1
    while os.environ["RANK"] == "1" and fetched >= 30:
        time.sleep(1)
    return fetch(self, key)


PairDataset.__getitem__ = hang  # type: ignore[method-assign]
main(sys.argv[1:])
