"""Objectives against numbers worked out by hand: a vocabulary of three tokens, one pair."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor

from training import objectives
from training.pair_arguments import PairArguments

# "more" is tokens 1 2 and "less" token 2 alone: what follows are the model's probabilities where they are read.
PROBABILITIES = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]])
TARGET, OWNER = torch.tensor([1, 2, 2]), torch.tensor([0, 0, 1])
# A constant added to the logits of one place changes nothing.
LOGPROBS, _ = objectives.predictions(PROBABILITIES.log() + torch.tensor([[5.0], [-3.0], [0.5]]), TARGET)
SUMS = objectives.sentence_sums(LOGPROBS, OWNER, 2)
COUNTS = torch.tensor([2.0, 1.0])


def test_predictions_are_of_the_targets() -> None:
    torch.testing.assert_close(LOGPROBS, torch.tensor([math.log(0.5), math.log(0.8), math.log(0.3)]))


def whole(logits: Tensor, target: Tensor, base_logits: Tensor | None) -> tuple[Tensor, Tensor]:
    """The slow twin of `predictions`: whole distributions, and their derivatives left to autograd."""
    log_p = logits.float().log_softmax(-1)
    logprobs = log_p.gather(1, target[:, None]).squeeze(1)
    if base_logits is None:
        return logprobs, torch.zeros_like(logprobs)
    log_b = base_logits.float().log_softmax(-1)
    return logprobs, (log_b.exp() * (log_b - log_p)).sum(-1)


@pytest.mark.parametrize("at_once", [1, 700, 10_000])
@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)])
def test_a_few_places_at_a_time_give_values_and_gradients_of_whole_distributions(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, tolerance: float, based: bool, at_once: int
) -> None:
    monkeypatch.setitem(objectives.AT_ONCE, "cpu", at_once)
    draw = torch.Generator().manual_seed(0)
    target = torch.randint(100, (23,), generator=draw)
    base = torch.randn(23, 100, generator=draw).to(dtype) if based else None
    weights = torch.randn(2, 23, generator=draw)
    found = []
    for way in (objectives.predictions, whole):
        logits = torch.randn(23, 100, generator=torch.Generator().manual_seed(1)).mul_(3).to(dtype).requires_grad_()
        logprobs, divergences = way(logits, target, base)
        (weights[0] @ logprobs + (weights[1] @ divergences if based else 0)).backward()
        found.append((logprobs.detach(), divergences.detach(), logits.grad))
    for ours, twin in zip(*found, strict=True):
        torch.testing.assert_close(ours, twin, atol=tolerance, rtol=tolerance)


def test_sums_are_of_each_sentences_own_tokens_and_none_is_0() -> None:
    values = torch.tensor([1.0, 2.0, 4.0])
    assert objectives.sentence_sums(values, torch.tensor([3, 1, 3]), 4).tolist() == [0, 2, 0, 5]


def test_anti_is_the_mean_token_loss_of_the_less_stereotypical_sentence() -> None:
    assert objectives.anti(SUMS, COUNTS).loss.item() == pytest.approx(-math.log(0.3), abs=1e-6)


def test_both_averages_the_two_sentences() -> None:
    more = -(math.log(0.5) + math.log(0.8)) / 2
    assert objectives.both(SUMS, COUNTS).loss.item() == pytest.approx((more - math.log(0.3)) / 2, abs=1e-6)


def test_balance_penalises_the_gap_and_the_drift() -> None:
    base = PROBABILITIES.roll(1, dims=-1)
    by_hand = [
        sum(float(b * math.log(b / p)) for b, p in zip(bs, ps, strict=True))
        for bs, ps in zip(base, PROBABILITIES, strict=True)
    ]
    _, divergence = objectives.predictions(PROBABILITIES.log(), TARGET, base.log())
    torch.testing.assert_close(divergence, torch.tensor(by_hand))
    gap = math.log(0.5) + math.log(0.8) - math.log(0.3)
    divergences = objectives.sentence_sums(divergence, OWNER, 2)
    result = objectives.balance(SUMS, COUNTS, divergences, balance_weight=2.0, kl_weight=3.0)
    smooth_l1 = 0.5 * gap**2 if abs(gap) < 1 else abs(gap) - 0.5
    drift = ((by_hand[0] + by_hand[1]) / 2 + by_hand[2]) / 2
    assert result.loss.item() == pytest.approx(2 * smooth_l1 + 3 * drift, abs=1e-6)
    assert result.parts["abs_logprob_diff"].item() == pytest.approx(abs(gap), abs=1e-6)


def test_balance_counts_a_sentence_without_scored_tokens_as_0() -> None:
    result = objectives.balance(
        torch.tensor([-0.5, 0.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.0]), balance_weight=1.0, kl_weight=1.0
    )
    assert result.loss.item() == pytest.approx(0.5 * 0.5**2 + 0.2 / 2, abs=1e-6)


def test_balance_rests_at_the_base_model_with_level_pairs() -> None:
    level = PROBABILITIES[:2].repeat(2, 1).clone().requires_grad_()
    owner, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([2.0, 2.0])
    logits = level.log()
    logprobs, drifts = objectives.predictions(logits, torch.tensor([1, 2, 1, 2]), logits.detach())
    sums, divergences = (objectives.sentence_sums(values, owner, 2) for values in (logprobs, drifts))
    result = objectives.balance(sums, counts, divergences, 0.5, 1.0)
    result.loss.sum().backward()  # type: ignore[no-untyped-call]
    assert result.loss.item() == pytest.approx(0, abs=1e-6)
    assert level.grad is not None
    assert level.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


BASE_SUMS = torch.tensor([-1.5, -0.25])


def test_dpo_rewards_what_the_less_stereotypical_sentence_gained_beyond_the_other() -> None:
    gained = (math.log(0.3) + 0.25) - (math.log(0.5) + math.log(0.8) + 1.5)
    result = objectives.dpo(SUMS, BASE_SUMS, beta=0.4)
    assert result.parts["preference"].item() == pytest.approx(gained, abs=1e-6)
    assert result.loss.item() == pytest.approx(math.log(1 + math.exp(-0.4 * gained)), abs=1e-6)
    # There is always something left to win.
    far = objectives.dpo(torch.tensor([-100.0, 0.0]), torch.zeros(2), beta=0.4)
    assert 0 < far.loss.item() < 1e-10


def test_ipo_stops_at_its_target() -> None:
    gained = (math.log(0.3) + 0.25) - (math.log(0.5) + math.log(0.8) + 1.5)
    assert objectives.ipo(SUMS, BASE_SUMS, beta=0.4).loss.item() == pytest.approx((gained - 1.25) ** 2, abs=1e-5)
    sums = torch.tensor([-3.0, -1.75], requires_grad=True)
    result = objectives.ipo(sums, torch.tensor([-3.0, -3.0]), beta=0.4)
    result.loss.sum().backward()
    assert result.loss.item() == 0
    assert sums.grad is not None
    assert not sums.grad.any()


def test_more_is_the_other_half_of_both() -> None:
    parts = [objectives.more(SUMS, COUNTS).loss, objectives.anti(SUMS, COUNTS).loss]
    assert objectives.more(SUMS, COUNTS).loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2, abs=1e-6)
    torch.testing.assert_close(sum(parts) / 2, objectives.both(SUMS, COUNTS).loss)


def test_the_setting_names_every_objective() -> None:
    (setting,) = (one for one in fields(PairArguments) if one.name == "objective")
    assert set(get_args(get_type_hints(PairArguments)[setting.name])) == set(objectives.OBJECTIVES)
