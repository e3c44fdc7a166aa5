"""Log-probabilities of given text, as the completions API gives them: `echo` returns the prompt, token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from harness.storage.answers import Answer


class NoEchoError(ValueError):
    """The server answered, but not with the log-probabilities of what it was sent."""


def echoed_logprobs(
    outputs: Mapping[str, Any] | Sequence[Mapping[str, Any]], tokens: Sequence[Sequence[int]], ctxlens: Sequence[int]
) -> list[Answer]:
    """Of each request, the log-likelihood (nats) of what stands after its context, and whether it is the greedy one.

    lm-eval's own reading sums up whatever stands in the answer. Some servers ignore `echo`, others put a start token
    before a text, and either would give a number that is wrong and looks right: so tokens are counted.

    Args:
        outputs: the server's answers; together one choice a request.
        tokens: of each request, the ids that were sent.
        ctxlens: of each request, how many of these are its context.

    Raises:
        NoEchoError: no log-probabilities, or not one for each token; says how many were found and expected.
        ValueError: no answer of the completions API.
    """
    bodies = [outputs] if isinstance(outputs, Mapping) else list(outputs)
    found = [choice for body in bodies for choice in sorted(choices(body), key=itemgetter("index"))]
    if len(found) != len(tokens):
        raise ValueError(f"expected {len(tokens)} choices, one for each prompt, found {len(found)}")
    return [_answer(choice, sent, start) for choice, sent, start in zip(found, tokens, ctxlens, strict=True)]


def choices(body: object) -> list[Mapping[str, Any]]:
    """The choices in a server's answer.

    Raises:
        ValueError: it has none, as where something between answers in its place.
    """
    found = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, Mapping) and "index" in one for one in found):
        raise ValueError(f"expected `choices` with an `index` each, found {str(body)[:200]}")
    return found


def _answer(choice: Mapping[str, Any], sent: Sequence[int], start: int) -> Answer:
    told = choice.get("logprobs") or {}
    logprobs = told.get("token_logprobs")
    if not isinstance(logprobs, list):
        raise NoEchoError(
            f"expected choices[0].logprobs.token_logprobs with `echo`, found {sorted(told) or None} in it"
        )
    # One more than was sent: a token that is generated, since some servers take no request for none.
    if len(logprobs) not in (len(sent), len(sent) + 1) or logprobs[0] is not None:
        raise NoEchoError(
            f"expected log-probabilities of the {len(sent)} tokens that were sent, nothing before the first, and of at "
            f"most one generated token, found {len(logprobs)} that begin with {logprobs[:1]}"
        )
    scored = logprobs[start : len(sent)]
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in scored):
        raise NoEchoError(f"expected a finite log-probability of every token after the context, found {scored}")
    top = (told.get("top_logprobs") or [])[start : len(sent)]
    greedy = len(top) == len(scored) and all(
        one and value >= max(one.values()) for value, one in zip(scored, top, strict=True)
    )
    return float(sum(scored)), bool(greedy)
