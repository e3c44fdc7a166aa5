"""Where each objective comes to rest for a pair whose two sums it may move freely: its closed form, by descent."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training import objectives

BETA = 0.1
BASE = torch.tensor([-20.0, -23.0, -25.0, -25.0])
"""Of two pairs the sums, the more stereotypical sentences first: 5 and 2 nats apart."""


def rested(loss: str, steps: int, rate: float) -> Tensor:
    """log P(more) - log P(less) of each pair after so many steps of descent from the base's sums."""
    sums = BASE.clone().requires_grad_()
    optimizer = torch.optim.SGD([sums], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        if loss == "balance":
            given = objectives.balance(sums, torch.ones(4), torch.zeros(4), balance_weight=1.0, kl_weight=0.0)
        else:
            given = getattr(objectives, loss)(sums, BASE, BETA)
        given.loss.sum().backward()
        optimizer.step()
    more, less = sums.detach().chunk(2)
    return more - less


def test_balance_rests_where_the_two_are_level() -> None:
    assert rested("balance", 200, 0.1).tolist() == pytest.approx([0, 0], abs=1e-3)


def test_ipo_rests_so_many_nats_from_the_base_wherever_that_was() -> None:
    assert rested("ipo", 500, 0.05).tolist() == pytest.approx([5 - 1 / (2 * BETA), 2 - 1 / (2 * BETA)], abs=1e-3)


def test_dpo_passes_equality_and_never_rests() -> None:
    sooner, later = rested("dpo", 500, 1.0), rested("dpo", 5000, 1.0)
    assert (sooner < -1).all()
    assert (later < sooner - 1).all()
