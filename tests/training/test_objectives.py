"""Objectives against numbers worked out by hand: a vocabulary of three tokens, one pair."""

from __future__ import annotations

import math

import pytest
import torch

from training import objectives

# "more" is tokens 0 1 2, "less" is 0 2 and a pad; the logits below give the probabilities named in the comments.
INPUT_IDS = torch.tensor([[0, 1, 2], [0, 2, 0]])
MASK = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
PROBABILITIES = torch.tensor(
    [
        [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]],
        [[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3]],
    ]
)
LOG_MODEL = objectives.log_distribution(PROBABILITIES.log())
LOGPROBS = objectives.token_logprobs(LOG_MODEL, INPUT_IDS, MASK)


def test_token_logprobs_are_of_the_next_token_and_padding_counts_nothing() -> None:
    expected = torch.tensor([[math.log(0.5), math.log(0.8)], [math.log(0.3), 0.0]])
    torch.testing.assert_close(LOGPROBS, expected)


def test_anti_is_the_mean_token_loss_of_the_less_stereotypical_sentence() -> None:
    assert objectives.anti(LOGPROBS, MASK).loss.item() == pytest.approx(-math.log(0.3), abs=1e-6)


def test_both_averages_the_two_sentences() -> None:
    more = -(math.log(0.5) + math.log(0.8)) / 2
    assert objectives.both(LOGPROBS, MASK).loss.item() == pytest.approx((more - math.log(0.3)) / 2, abs=1e-6)


def test_balance_penalises_the_gap_and_the_drift() -> None:
    base = PROBABILITIES.roll(1, dims=-1)
    divergence = objectives.kl_to_base(LOG_MODEL, objectives.log_distribution(base.log()), MASK)
    rows = [(base[0, :2], PROBABILITIES[0, :2]), (base[1, :1], PROBABILITIES[1, :1])]
    by_hand = [
        sum(float(b * math.log(b / p)) for b, p in zip(bs.flatten(), ps.flatten(), strict=True)) / len(bs)
        for bs, ps in rows
    ]
    torch.testing.assert_close(divergence, torch.tensor(by_hand))
    gap = math.log(0.5) + math.log(0.8) - math.log(0.3)
    result = objectives.balance(LOGPROBS, MASK, divergence, balance_weight=2.0, kl_weight=3.0)
    smooth_l1 = 0.5 * gap**2 if abs(gap) < 1 else abs(gap) - 0.5
    assert result.loss.item() == pytest.approx(2 * smooth_l1 + 3 * sum(by_hand) / 2, abs=1e-6)
    assert result.parts["abs_logprob_diff"].item() == pytest.approx(abs(gap), abs=1e-6)


def test_balance_rests_at_the_base_model_with_level_pairs() -> None:
    level = PROBABILITIES[:1].repeat(2, 1, 1).clone().requires_grad_()
    log_model = objectives.log_distribution(level.log())
    same = torch.tensor([[0, 1, 2], [0, 1, 2]])
    mask = torch.ones(2, 2)
    logprobs = objectives.token_logprobs(log_model, same, mask)
    divergence = objectives.kl_to_base(log_model, log_model.detach(), mask)
    result = objectives.balance(logprobs, mask, divergence, 0.5, 1.0)
    result.loss.sum().backward()  # type: ignore[no-untyped-call]
    assert result.loss.item() == pytest.approx(0, abs=1e-6)
    assert level.grad is not None
    assert level.grad.abs().max().item() == pytest.approx(0, abs=1e-6)
