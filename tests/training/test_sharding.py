"""A process that holds the whole of what it was to share is found out."""

from __future__ import annotations

import pytest

from training.sharding import Held, require_sharded

WHOLE = Held(parameters=400_000_000, optimizer=800_000_000, frozen_copy=400_000_000)


@pytest.mark.parametrize(
    ("stage", "held", "expected"),
    [
        (2, WHOLE, "rank 1 holds 800000000 bytes of optimizer; under ZeRO-2 on 2 processes its share is 400000000"),
        (3, WHOLE, "rank 1 holds 400000000 bytes of parameters; under ZeRO-3 on 2 processes its share is 200000000"),
        (3, Held(200_000_000, 800_000_000, 200_000_000), "800000000 bytes of optimizer"),
        (3, Held(200_000_000, 400_000_000, 400_000_000), "400000000 bytes of frozen_copy"),
        (2, Held(400_000_000, 450_000_000), "450000000 bytes of optimizer"),
    ],
)
def test_more_than_a_share_stops_the_run(stage: int, held: Held, expected: str) -> None:
    with pytest.raises(RuntimeError, match=expected):
        require_sharded(held, WHOLE, stage, processes=2, rank=1)


@pytest.mark.parametrize(
    ("stage", "processes", "held"),
    [
        (0, 2, WHOLE),
        (2, 1, WHOLE),
        (2, 2, WHOLE._replace(optimizer=400_000_064)),
        (3, 2, Held(200_000_128, 400_000_064, 200_000_128)),
    ],
)
def test_a_share_passes(stage: int, processes: int, held: Held) -> None:
    require_sharded(held, WHOLE, stage, processes, rank=1)
