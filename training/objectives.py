"""What fine-tuning on a pair of sentences minimises: pure functions from a model's predictions to one loss a pair.

Notation: a batch of P pairs is 2P sentences, the P more stereotypical ones first. N of their tokens are scored, and
`owner` [N] says of which sentence each one is. For a sentence with scored tokens t = 1..n, `sums` [2P] holds
sum_t log P(t) and `counts` [2P] holds n. What a token is predicted from is its family's matter: the tokens before it
(causal), those around it (masked), or the encoder's text and the tokens before it (encoder-decoder).
Every objective returns [P]: the trainer divides by the pairs of the global batch, so that the number of processes
and of accumulation steps changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

AT_ONCE = {"cpu": 1 << 18, "gpu": 1 << 22}
"""Elements of [N, V] that are worked on at once: what fits a core's cache, or keeps a GPU busy."""


class PairLoss(NamedTuple):
    """`loss` [P] is minimised; `parts` are [P] terms of it, in nats, for the log."""

    loss: Tensor
    parts: dict[str, Tensor]


class Scored(NamedTuple):
    """Of 2P sentences their `sums` and `counts`; of the frozen base `base_sums`, and `divergences` from it.

    The last two are sums over a sentence's tokens, [2P] in nats, and 0 where the objective does not ask for them.
    `end_sums` are those of `sums` over the tokens of a pair's shared end, behind all in which its sentences differ.
    """

    sums: Tensor
    counts: Tensor
    base_sums: Tensor
    divergences: Tensor
    end_sums: Tensor


def predictions(logits: Tensor, target: Tensor, base_logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What is expected at N places and how far the model is from its base there, both [N], in nats and fp32.

    Args:
        logits: [N, V] of the model.
        target: [N], the tokens expected.
        base_logits: [N, V] of the frozen base; without them the second result is 0.

    Returns:
        log P(target), and KL(base || model) = sum_v B(v) [log B(v) - log P(v)].
    """
    logprobs, divergences = _Predictions.apply(logits, target, base_logits)  # type: ignore[no-untyped-call]
    return logprobs, divergences


class _Predictions(torch.autograd.Function):
    """A few places at a time, so that beside the logits and their gradient nothing of the size [N, V] comes to be.

    With p = softmax(logits) and b that of the base: d log P(t) / d logits = one_hot(t) - p, d KL / d logits = p - b.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, base_logits: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, target, base_logits)
        logprobs = torch.empty(len(target), device=logits.device)
        divergences = torch.zeros_like(logprobs)
        for few in _few_places(logits):
            log_p = logits[few].log_softmax(-1, dtype=torch.float32)
            logprobs[few] = log_p.gather(1, target[few, None]).squeeze(1)
            if base_logits is not None:
                log_b = base_logits[few].log_softmax(-1, dtype=torch.float32)
                divergences[few] = functional.kl_div(log_p, log_b, reduction="none", log_target=True).sum(-1)
        return logprobs, divergences

    @staticmethod
    def backward(ctx: Any, of_logprobs: Tensor, of_divergences: Tensor) -> tuple[Tensor, None, None]:
        logits, target, base_logits = ctx.saved_tensors
        result = torch.empty_like(logits)
        for few in _few_places(logits):
            up, apart = of_logprobs[few, None], of_divergences[few, None]
            p = logits[few].softmax(-1, dtype=torch.float32)
            if base_logits is None:
                slope = p.mul_(-up)
            else:
                slope = p.mul_(apart - up).sub_(base_logits[few].softmax(-1, dtype=torch.float32).mul_(apart))
            result[few] = slope.scatter_add_(1, target[few, None], up)
        return result, None, None


def _few_places(logits: Tensor) -> Iterator[slice]:
    places, vocabulary = logits.shape
    count = max(1, AT_ONCE["cpu" if logits.device.type == "cpu" else "gpu"] // vocabulary)
    return (slice(start, start + count) for start in range(0, places, count))


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


def balance(
    sums: Tensor,
    counts: Tensor,
    divergences: Tensor,
    balance_weight: float,
    kl_weight: float,
    end_sums: Tensor | None = None,
    end_weight: float = 0.0,
) -> PairLoss:
    """Make the two sentences equally likely while the model stays what it was.

    With d = sum_t log P(more_t) - sum_t log P(less_t), and D the mean over a sentence's tokens of KL(base || model),
    whose sums are `divergences` [2P]: loss = balance_weight * smooth_l1(d) + kl_weight * (D(more) + D(less)) / 2.
    The quadratic bottom of the smooth L1 lets pairs that are level already rest; its linear arms keep one extreme
    pair from owning the step. A sentence without scored tokens counts 0 in both terms.

    Of causal models d is of whole sentences: what they begin with in common cancels out, so it holds how common the
    two groups' names are (the part in which the sentences differ), and how much likelier the rest is after one of them
    than after the other (`end_sums`, the shared end). Only the latter can carry over to other sentences. With
    `end_weight` it counts once more: loss + end_weight * smooth_l1(end(more) - end(less)).
    """
    more, less = sums.chunk(2)
    imbalance = functional.smooth_l1_loss(more, less, reduction="none")
    drift = torch.stack((divergences / counts.clamp(min=1)).chunk(2)).mean(0)
    parts = {"abs_logprob_diff": (more - less).abs(), "kl": drift}
    loss = balance_weight * imbalance + kl_weight * drift
    if end_sums is None or not end_weight:
        return PairLoss(loss, parts)
    more_end, less_end = end_sums.chunk(2)
    end_loss = functional.smooth_l1_loss(more_end, less_end, reduction="none")
    return PairLoss(loss + end_weight * end_loss, {**parts, "abs_end_diff": (more_end - less_end).abs()})


def dpo(sums: Tensor, base_sums: Tensor, beta: float) -> PairLoss:
    """Direct preference optimisation of the less stereotypical sentence (Rafailov et al. 2023, arXiv 2305.18290).

    With h = [sum log P(less) - sum log B(less)] - [sum log P(more) - sum log B(more)], B the frozen base:
    loss = -log sigmoid(beta h). It has no minimum at equality: given time, it prefers them all.
    """
    preference = _preference(sums, base_sums)
    return PairLoss(-functional.logsigmoid(beta * preference), {"preference": preference})


def ipo(sums: Tensor, base_sums: Tensor, beta: float) -> PairLoss:
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036).

    With h as in `dpo`: loss = (h - 1 / (2 beta))^2. The preference has a target, measured from the base's own: a
    pair that was level before ends at 1 / (2 beta) nats.
    """
    preference = _preference(sums, base_sums)
    return PairLoss((preference - 1 / (2 * beta)).square(), {"preference": preference})


def more(sums: Tensor, counts: Tensor) -> PairLoss:
    """Language modelling on the more stereotypical sentence: loss = -(1/n) sum_t log P(more_t).

    No mitigation by itself: what it teaches is there to be subtracted (`negate`).
    """
    stereotypical, _ = (sums / counts).chunk(2)
    return PairLoss(-stereotypical, {"nll": -stereotypical})


def language_modelling(sums: Tensor, counts: Tensor) -> PairLoss:
    """Language modelling on P texts that are no pairs: loss = -(1/n) sum_t log P(t), `sums` and `counts` [P]."""
    loss = -sums / counts
    return PairLoss(loss, {"nll": loss})


def _preference(sums: Tensor, base_sums: Tensor) -> Tensor:
    """How much more than the base the model prefers the less stereotypical sentences, [P] in nats."""
    gained_more, gained_less = (sums - base_sums).chunk(2)
    return gained_less - gained_more


class Weights(Protocol):
    """The settings that objectives read: see `training.config.PairArguments`."""

    balance_weight: float
    kl_weight: float
    end_weight: float
    beta: float


class Objective(NamedTuple):
    """`loss` from what was scored and the settings; `base`: what of the frozen base it compares with, if anything.

    `whole` objectives compare the sentences' log-probabilities, and so need those of all that differs, as a pair is
    scored; the others are content with the tokens that a random mask hides. Objectives `of` texts train on running text
    in place of pairs: there are P texts where there are 2P sentences else.
    """

    loss: Callable[[Scored, Weights], PairLoss]
    base: Literal["sums", "divergences"] | None
    whole: bool
    of: Literal["pairs", "texts"] = "pairs"

    def sentences(self, batch: int) -> int:
        """How many there are in so many pairs or texts."""
        return 2 * batch if self.of == "pairs" else batch


_MODELLING = Objective(
    lambda scored, _: language_modelling(scored.sums, scored.counts), base=None, whole=False, of="texts"
)

OBJECTIVES: Mapping[str, Objective] = {
    "anti": Objective(lambda scored, _: anti(scored.sums, scored.counts), base=None, whole=False),
    "both": Objective(lambda scored, _: both(scored.sums, scored.counts), base=None, whole=False),
    "balance": Objective(
        lambda scored, given: balance(
            scored.sums,
            scored.counts,
            scored.divergences,
            given.balance_weight,
            given.kl_weight,
            scored.end_sums,
            given.end_weight,
        ),
        base="divergences",
        whole=True,
    ),
    "dpo": Objective(lambda scored, given: dpo(scored.sums, scored.base_sums, given.beta), base="sums", whole=True),
    "ipo": Objective(lambda scored, given: ipo(scored.sums, scored.base_sums, given.beta), base="sums", whole=True),
    "more": Objective(lambda scored, _: more(scored.sums, scored.counts), base=None, whole=False),
    "cda": _MODELLING,
    "dropout": _MODELLING,
}
"""By the names that the setting `objective` has for them."""
