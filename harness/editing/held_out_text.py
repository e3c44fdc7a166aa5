"""How surprised a model of any family is by running text that no task scores: passages of WikiText-2 validation.

Masked models and encoder-decoders are asked for a passage as `wikitext2` asks them for a page: some tokens, one mask at
a time, or what T5's span corruption hides. A causal model reads the beginning of a passage and is asked for the rest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lm_eval.api.instance import Instance
from numpy.typing import NDArray

from harness.data.families import FAMILIES
from harness.data.sources import locate
from harness.data.tokens import load_tokens
from harness.data.wikitext import SIZING_PASSAGES, SIZING_WORDS, asked_of, passages
from harness.models.base import TransformersLM
from harness.storage.controls import Slice

GIVEN = 5
"""Of a causal passage one word in so many, the first ones, are read and not scored.

Training on sentences that each follow the start token makes that beginning itself likelier (SmolLM2 expects a chat
there), which in a passage weighs as much as a few per cent of perplexity and in a document as nothing.
"""

SAMPLED_TOKENS = 512
"""That a masked model is asked for in all passages together: each costs a reading of its window."""


class Rise(NamedTuple):
    """log(perplexity after / before), and its standard error over the passages; 0 is no change."""

    value: float
    error: float


@dataclass(frozen=True)
class HeldOutText:
    """Passages as requests to one model, and how many words what is asked for in each stands for."""

    requests: tuple[Instance, ...]
    words: NDArray[np.float64]
    told: Slice

    def losses(self, lm: TransformersLM) -> NDArray[np.float64]:
        """[passages]: negative log-likelihoods in nats of the model as it is loaded now.

        Raises:
            FloatingPointError: one is not finite.
        """
        if lm.family == "causal":
            answers = [logprob for logprob, _ in lm.loglikelihood(list(self.requests), disable_tqdm=True)]
        else:
            answers = lm.loglikelihood_rolling(list(self.requests), disable_tqdm=True)
        return -np.array(answers, dtype=np.float64)

    def rise(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> Rise:
        """From the losses of two models; passages are drawn, so the error is that of a ratio of sums over them."""
        changes = after - before
        value = float(changes.sum() / self.words.sum())
        count = len(changes)
        spread = float(np.sum((changes - value * self.words) ** 2))
        error = math.sqrt(spread * count / max(1, count - 1)) / float(self.words.sum())
        return Rise(value, error)

    def perplexity(self, losses: NDArray[np.float64]) -> float:
        """Of a word."""
        return float(np.exp(losses.sum() / self.words.sum()))


def held_out_text(lm: TransformersLM, data_dir: str | None) -> HeldOutText:
    """The passages for one model.

    Raises:
        FileNotFoundError: the data folder has no validation file.
        ValueError: an encoder-decoder without sentinel tokens.
    """
    data = locate("wikitext2_valid", data_dir)
    texts = passages(data.path, SIZING_WORDS, SIZING_PASSAGES)
    asked = list(_continued(lm, texts) if lm.family == "causal" else _as_pages(lm, texts))
    words = np.array([count for _, count in asked], dtype=np.float64)
    arguments = [given for given, _ in asked]
    told = Slice(
        data_sha256=data.sha256,
        origin=data.origin,
        passages=len(asked),
        words=round(float(words.sum()), 3),
        sha256=hashlib.sha256(repr(arguments).encode()).hexdigest(),
    )
    kind = "loglikelihood" if lm.family == "causal" else "loglikelihood_rolling"
    requests = [
        Instance(kind, {}, given, number, metadata=("held-out text", number, 1))
        for number, given in enumerate(arguments)
    ]
    return HeldOutText(tuple(requests), words, told)


def _continued(lm: TransformersLM, texts: Sequence[str]) -> Iterator[tuple[tuple[object, ...], float]]:
    """Context and continuation of each text, as much of it as the model's window holds, and the words scored."""
    for text in texts:
        words = text.split()
        while len(lm.tok_encode(" ".join(words))) > lm.max_length:
            words = words[: len(words) // 2]
        given = len(words) // GIVEN
        yield (" ".join(words[:given]), " " + " ".join(words[given:])), len(words) - given


def _as_pages(lm: TransformersLM, texts: Sequence[str]) -> Iterator[tuple[tuple[object, ...], float]]:
    metadata = {**lm.task_metadata, "max_length": lm.max_length, "sampled_tokens": SAMPLED_TOKENS}
    tokens = load_tokens(metadata, "a control", FAMILIES)
    for text, asked in zip(texts, asked_of(tokens, texts, metadata), strict=True):
        which = asked.columns["scored"] if lm.family == "masked" else asked.columns["span_key"]
        yield (text, which, asked.columns["window"]), len(text.split()) * asked.share
