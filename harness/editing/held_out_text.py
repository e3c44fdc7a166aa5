"""How surprised a model of any family is by running text that no task scores: passages of WikiText-2 validation.

Causal: negative log-likelihood, a word, of what follows the passage's first words. Masked: pseudo-log-likelihood of
every eighth token, one mask at a time. Encoder-decoder: T5's own span corruption (Raffel et al. 2020, section 3.1.4),
three words of twenty cut out, a token of the decoder's text. Ratios of perplexity are exp of a difference of these.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lm_eval.api.instance import Instance
from numpy.typing import NDArray

from harness.data.families import Family
from harness.data.infill import filled, require_sentinels, sentinel, source_ids, target_ids
from harness.data.masked_text import scored_text
from harness.data.sources import locate
from harness.data.wikitext import passages
from harness.models.base import TransformersLM
from harness.storage.controls import Slice

WORDS: Mapping[Family, int] = {"causal": 320, "masked": 64, "seq2seq": 64}
"""Words of a passage: short where each mask costs one more reading of it."""

GIVEN = 5
"""Of a causal passage one word in so many, the first ones, are read and not scored.

Training on sentences that each follow the start token makes that beginning itself likelier (SmolLM2 expects a chat
there), which in a passage weighs as much as a few per cent of perplexity and in a document as nothing.
"""

ALL_WORDS = 3072
MASK_EVERY = 8
GAP_EVERY, GAP_WORDS = 20, 3
UNIT: Mapping[Family, str] = {"causal": "words", "masked": "masked tokens", "seq2seq": "decoder tokens"}


class Rise(NamedTuple):
    """log(perplexity after / before), and its standard error over the passages; 0 is no change."""

    value: float
    error: float


@dataclass(frozen=True)
class HeldOutText:
    """Passages as requests to one model, and how many units (words or tokens) each one's loss is over."""

    requests: tuple[Instance, ...]
    units: NDArray[np.float64]
    told: Slice

    def losses(self, lm: TransformersLM) -> NDArray[np.float64]:
        """[passages]: negative log-likelihoods in nats of the model as it is loaded now.

        Raises:
            FloatingPointError: one is not finite.
        """
        answers = lm.loglikelihood(list(self.requests), disable_tqdm=True)
        return -np.array([logprob for logprob, _ in answers], dtype=np.float64)

    def rise(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> Rise:
        """From the losses of two models; passages are drawn, so the error is that of a ratio of sums over them."""
        changes = after - before
        value = float(changes.sum() / self.units.sum())
        count = len(changes)
        spread = float(np.sum((changes - value * self.units) ** 2))
        error = math.sqrt(spread * count / max(1, count - 1)) / float(self.units.sum())
        return Rise(value, error)

    def perplexity(self, losses: NDArray[np.float64]) -> float:
        """Of a unit."""
        return float(np.exp(losses.sum() / self.units.sum()))


def held_out_text(lm: TransformersLM, data_dir: str | None) -> HeldOutText:
    """The passages for one model.

    Raises:
        FileNotFoundError: the data folder has no validation file.
        ValueError: an encoder-decoder without sentinel tokens.
    """
    data = locate("wikitext2_valid", data_dir)
    words = WORDS[lm.family]
    texts = passages(data.path, words, ALL_WORDS // words)
    requests = tuple(_requests(lm, texts))
    units = [units for _, units in requests]
    read = hashlib.sha256(repr([request.args for request, _ in requests]).encode()).hexdigest()
    told = Slice(
        data_sha256=data.sha256,
        origin=data.origin,
        passages=len(requests),
        unit=UNIT[lm.family],
        units=sum(units),
        sha256=read,
    )
    return HeldOutText(tuple(request for request, _ in requests), np.array(units, dtype=np.float64), told)


def _requests(lm: TransformersLM, texts: Sequence[str]) -> Iterator[tuple[Instance, int]]:
    if lm.family == "seq2seq":
        require_sentinels(lm.tokenizer, f"the loss of {lm.pretrained} on running text")
    request = {"causal": _plain, "masked": _masked, "seq2seq": _corrupted}[lm.family]
    return (request(lm, number, text.split()) for number, text in enumerate(texts))


def _plain(lm: TransformersLM, number: int, words: Sequence[str]) -> tuple[Instance, int]:
    text = " ".join(words)
    if len(lm.tok_encode(text)) > lm.max_length:
        return _plain(lm, number, words[: len(words) // 2])
    given = len(words) // GIVEN
    return _asked(number, " ".join(words[:given]), " " + " ".join(words[given:])), len(words) - given


def _masked(lm: TransformersLM, number: int, words: Sequence[str]) -> tuple[Instance, int]:
    text = " ".join(words)
    tokens = scored_text(lm.tokenizer, "", text)
    if len(tokens.input_ids) > lm.max_length:
        return _masked(lm, number, words[: len(words) // 2])
    count = len(tokens.places)
    # Not the same places in every passage, which all begin where a sentence does as often as not.
    chosen = range(number % min(MASK_EVERY, count), count, MASK_EVERY)
    return _asked(number, "", text, tuple(set(range(count)) - set(chosen))), len(chosen)


def _corrupted(lm: TransformersLM, number: int, words: Sequence[str]) -> tuple[Instance, int]:
    starts = range(number % max(1, min(GAP_EVERY, len(words)) - GAP_WORDS), len(words), GAP_EVERY)
    gaps = {start: place for place, start in enumerate(starts)}
    inside = {start + offset for start in starts for offset in range(GAP_WORDS)}
    source = [
        sentinel(gaps[place]) if place in gaps else word
        for place, word in enumerate(words)
        if place in gaps or place not in inside
    ]
    context, spans = " ".join(source), [" ".join(words[start : start + GAP_WORDS]) for start in starts]
    target = filled(spans)
    ids = target_ids(lm.tokenizer, target)
    if max(len(ids), len(source_ids(lm.tokenizer, context))) > lm.max_length:
        return _corrupted(lm, number, words[: len(words) // 2])
    return _asked(number, context, target), len(ids)


def _asked(number: int, *arguments: object) -> Instance:
    return Instance("loglikelihood", {}, arguments, number, metadata=("held-out text", number, 1))
