"""Which of several log-probabilities is the largest, where rounding must not decide it."""

from __future__ import annotations

from collections.abc import Sequence

# A letter's log-probability is a logit minus a log-sum-exp. Below 128 in size, where real ones lie, each of the two is
# rounded to fp32 by at most 2**-18, the value by 2**-17 together, and the difference of two such values by 2**-16 nats.
LEVEL = 2.0**-16


def largest(logprobs: Sequence[float]) -> tuple[int, ...]:
    """The places of all values (nats) that are the largest or level with it: within what fp32 rounds away, `LEVEL`.

    In the mean over the orders of a question a model that goes by the place alone gives all options the same sum, only
    added up in another order; so do logits that half precision has made equal. Such options are tied.
    """
    best = max(logprobs)
    return tuple(place for place, logprob in enumerate(logprobs) if best - logprob <= LEVEL)
