"""What fine-tuning on a pair of sentences minimises: pure functions from logits to one loss a pair.

Notation: a batch of P pairs is 2P sentences of at most T tokens, the P more stereotypical ones first. `logits` is
[2P, T, V], position t predicting token t + 1 of `input_ids`; `mask` is [2P, T - 1], 1 where that token is scored.
Every objective returns [P]: the trainer divides by the pairs of the global batch, so that the number of processes
and of accumulation steps changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class PairLoss(NamedTuple):
    """`loss` [P] is minimised; `parts` are [P] terms of it, in nats, for the log."""

    loss: Tensor
    parts: dict[str, Tensor]


def log_distribution(logits: Tensor) -> Tensor:
    """[2P, T - 1, V]: log P of every token of the vocabulary at every position but the first, in fp32."""
    return logits[:, :-1].float().log_softmax(-1)


def token_logprobs(log_model: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
    """[2P, T - 1]: log P(token t + 1 | tokens up to t), 0 where not scored."""
    return log_model.gather(-1, input_ids[:, 1:, None]).squeeze(-1) * mask


def kl_to_base(log_model: Tensor, log_base: Tensor, mask: Tensor) -> Tensor:
    """[2P]: mean over a sentence's tokens of KL(base || model) = sum_v B(v) [log B(v) - log P(v)], in nats."""
    divergence = functional.kl_div(log_model, log_base, reduction="none", log_target=True).sum(-1)
    return (divergence * mask).sum(1) / mask.sum(1)


def anti(logprobs: Tensor, mask: Tensor) -> PairLoss:
    """Language modelling on the less stereotypical sentence: loss = -(1/n) sum_t log P(less_t | less_<t)."""
    _, less = _mean_logprob(logprobs, mask)
    return PairLoss(-less, {"nll": -less})


def both(logprobs: Tensor, mask: Tensor) -> PairLoss:
    """Language modelling on both sentences (Gira et al. 2022, aclanthology.org/2022.ltedi-1.8).

    loss = -(1/2) [(1/n) sum_t log P(more_t | more_<t) + (1/m) sum_t log P(less_t | less_<t)].
    """
    more, less = _mean_logprob(logprobs, mask)
    loss = -(more + less) / 2
    return PairLoss(loss, {"nll": loss})


def balance(logprobs: Tensor, mask: Tensor, divergence: Tensor, balance_weight: float, kl_weight: float) -> PairLoss:
    """Make the two sentences equally likely while the model stays what it was.

    With d = log P(more) - log P(less), sums over the sentence, and D [2P] the divergence of `kl_to_base`:
    loss = balance_weight * smooth_l1(d) + kl_weight * (D(more) + D(less)) / 2.
    The quadratic bottom of the smooth L1 lets pairs that are level already rest; its linear arms keep one extreme
    pair from owning the step.
    """
    more, less = logprobs.sum(1).chunk(2)
    imbalance = functional.smooth_l1_loss(more, less, reduction="none")
    drift = torch.stack(divergence.chunk(2)).mean(0)
    parts = {"abs_logprob_diff": (more - less).abs(), "kl": drift}
    return PairLoss(balance_weight * imbalance + kl_weight * drift, parts)


def _mean_logprob(logprobs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    more, less = (logprobs.sum(1) / mask.sum(1)).chunk(2)
    return more, less
