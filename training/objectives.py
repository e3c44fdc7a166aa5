"""What fine-tuning on a pair of sentences minimises: pure functions from a model's predictions to one loss a pair.

Notation: a batch of P pairs is 2P sentences, the P more stereotypical ones first. N of their tokens are scored, and
`owner` [N] says of which sentence each one is. For a sentence with scored tokens t = 1..n, `sums` [2P] holds
sum_t log P(t) and `counts` [2P] holds n. What a token is predicted from is its family's matter: the tokens before it
(causal), those around it (masked), or the encoder's text and the tokens before it (encoder-decoder).
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


def log_distributions(logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """[N, V]: log P of every token of the vocabulary at the N places (row, column) of `logits` [R, T, V], in fp32."""
    return logits[row, column].float().log_softmax(-1)


def token_logprobs(log_model: Tensor, target: Tensor) -> Tensor:
    """[N]: log P(target) from `log_model` [N, V] and `target` [N]."""
    return log_model.gather(1, target[:, None]).squeeze(1)


def kl_to_base(log_model: Tensor, log_base: Tensor) -> Tensor:
    """[N]: KL(base || model) = sum_v B(v) [log B(v) - log P(v)] at each place, in nats, from two [N, V]."""
    return functional.kl_div(log_model, log_base, reduction="none", log_target=True).sum(-1)


def sentence_sums(values: Tensor, owner: Tensor, sentences: int) -> Tensor:
    """[2P]: the sum of `values` [N] over each sentence's tokens; 0 for a sentence that has none."""
    return values.new_zeros(sentences).index_add(0, owner, values)


def anti(sums: Tensor, counts: Tensor) -> PairLoss:
    """Language modelling on the less stereotypical sentence: loss = -(1/n) sum_t log P(less_t)."""
    _, less = (sums / counts).chunk(2)
    return PairLoss(-less, {"nll": -less})


def both(sums: Tensor, counts: Tensor) -> PairLoss:
    """Language modelling on both sentences (Gira et al. 2022, aclanthology.org/2022.ltedi-1.8).

    loss = -(1/2) [(1/n) sum_t log P(more_t) + (1/m) sum_t log P(less_t)].
    """
    more, less = (sums / counts).chunk(2)
    loss = -(more + less) / 2
    return PairLoss(loss, {"nll": loss})


def balance(sums: Tensor, counts: Tensor, divergences: Tensor, balance_weight: float, kl_weight: float) -> PairLoss:
    """Make the two sentences equally likely while the model stays what it was.

    With d = sum_t log P(more_t) - sum_t log P(less_t), and D the mean over a sentence's tokens of `kl_to_base`, whose
    sums are `divergences` [2P]: loss = balance_weight * smooth_l1(d) + kl_weight * (D(more) + D(less)) / 2.
    The quadratic bottom of the smooth L1 lets pairs that are level already rest; its linear arms keep one extreme
    pair from owning the step. A sentence without scored tokens counts 0 in both terms.
    """
    more, less = sums.chunk(2)
    imbalance = functional.smooth_l1_loss(more, less, reduction="none")
    drift = torch.stack((divergences / counts.clamp(min=1)).chunk(2)).mean(0)
    parts = {"abs_logprob_diff": (more - less).abs(), "kl": drift}
    return PairLoss(balance_weight * imbalance + kl_weight * drift, parts)
