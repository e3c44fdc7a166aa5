"""The causal language model that is scored: lm-eval's own `hf`, refusing what would give a wrong number."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from lm_eval.api.registry import register_model
from torch import Tensor

from harness.data.families import Family
from harness.models.base import TransformersLM
from harness.models.embedded import unknown_token
from harness.models.requests import require_finite
from harness.terminal.bars import progress

# Prompts are read at once as far as a multiple of this: longer steps make fewer batches that read more one by one.
PROMPT_STEP = 4

_Tokenised = tuple[Any, list[int], list[int]]


class ContextOverflowError(ValueError):
    """A request is longer than the model's context window; `index` is its place among the requests."""

    def __init__(self, index: int, length: int) -> None:
        super().__init__(index, length)
        self.index, self.length = index, length


@register_model("hf-causal")
class CausalLM(TransformersLM):
    """lm-eval's `hf` for causal models, as a `TransformersLM`; a text longer than the context window is an error."""

    family: ClassVar[Family] = "causal"
    backend_name = "causal"

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's answers: (log-probability of the continuation in nats, whether greedy decoding would give it).

        Raises:
            ValueError: a request exceeds the context window, or has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        try:
            answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        except ContextOverflowError as error:
            raise ValueError(self.too_long(requests[error.index], error.length)) from None
        require_finite(requests, [logprob for logprob, _ in answers])
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole documents in nats, windows as lm-eval cuts them.

        Raises:
            ValueError: a document has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        with self.batch_size_known():
            answers: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        require_finite(requests, answers)
        return answers

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See `TransformersLM.prompt_parts`: prompts of nearly one length get first parts of exactly one."""
        cut = (len(ids) - 1) // PROMPT_STEP * PROMPT_STEP
        return ids[:cut], ids[cut:]

    def continuer(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """See `TransformersLM.continuer`; a model without a cache of keys and values reads the whole text each time."""
        cache: Any = None
        if firsts.shape[1]:
            read = self.whole_model.base_model(firsts, use_cache=True)
            cache = getattr(read, "past_key_values", None)
            if hasattr(cache, "batch_select_indices"):
                cache.batch_select_indices(owners)
            else:
                cache = None
        text = firsts[owners]

        def logits_after(token: Tensor) -> Tensor:
            nonlocal cache, text
            text = torch.cat([text, token[:, None]], dim=1)
            output = self._model(text if cache is None else token[:, None], past_key_values=cache, use_cache=True)
            cache = getattr(output, "past_key_values", None)
            last: Tensor = output.logits[:, -1]
            return last

        return logits_after

    def _require_known_texts(self, requests: Sequence[Any]) -> None:
        # lm-eval cuts texts into tokens where their documents are no longer known. Ids may have gaps.
        last = max(self.tokenizer.get_vocab().values())
        if unknown_token(self.tokenizer, self._model, [last, self.prefix_token_id]):
            for request in requests:
                self.require_embedded(request, [self.prefix_token_id], self._prompt_ids("".join(request.args[:2])))

    def _prompt_ids(self, prompt: str) -> list[int]:
        ids: list[int] = self.tok_encode(prompt)
        return ids

    def _positions_needed(self, prompt: int, room: int) -> int:
        return prompt + room

    def _loglikelihood_tokens(
        self, requests: Sequence[_Tokenised], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (_, context, continuation) in enumerate(requests):
            # What the model is fed; requests that differ in their last token only share one row (lm-eval's cache).
            groups[tuple(context + continuation[:-1])].append(index)
        longest = max(groups, key=len)
        if len(longest) > self.max_length:
            raise ContextOverflowError(groups[longest][0], len(longest))
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        with progress(len(requests), "Scoring", hidden=disable_tqdm or self.rank != 0) as bar:
            for batch in self.batches(sorted(groups, key=lambda tokens: (-len(tokens), tokens)), len):
                places = [index for tokens in batch for index in groups[tokens]]
                scored = super()._loglikelihood_tokens(
                    [requests[index] for index in places], disable_tqdm=True, override_bs=len(places)
                )
                for index, answer in zip(places, scored, strict=True):
                    answers[index] = answer
                bar.update(len(places))
        return answers
