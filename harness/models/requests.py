"""A request of lm-eval's as messages tell of it, and the refusal of an answer that is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def require_finite(requests: Sequence[Any], logprobs: Sequence[float], batch: bool = False) -> None:
    """Refuse scores that are no numbers.

    Args:
        batch: `requests` are one batch of the model, which the message then tells of.

    Raises:
        FloatingPointError: names the document.
    """
    for request, logprob in zip(requests, logprobs, strict=True):
        if not math.isfinite(logprob):
            beside = ", ".join(dict.fromkeys(str(other.doc_id) for other in requests)) if batch else ""
            raise FloatingPointError(
                f"{request_name(request)}{f' (in the batch of documents {beside})' if batch else ''}: log-likelihood "
                f"is {logprob} for {request.args[:2][-1][:80]!r}. Half precision overflows in some models (score with "
                "dtype=float32); else the weights are damaged or diverged."
            )


def request_name(request: Any) -> str:
    """What a message calls a request."""
    return f"{request.task_name or 'request'}, document {request.doc_id}"
