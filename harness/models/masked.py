"""Masked language models (BERT and its kin) as an lm-eval model: scores by masking one token at a time.

Pseudo-log-likelihood: Salazar et al. 2020, aclanthology.org/2020.acl-main.240.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple

import torch
from lm_eval.api.registry import register_model
from torch import Tensor
from transformers import AutoModelForMaskedLM

from harness.data.families import Family
from harness.data.masked_text import require_mask, scored_text, slots, windows
from harness.inference.recipe import put_before
from harness.models.base import TransformersLM
from harness.models.head import logits_at
from harness.models.mask_filling import complete, fill_templates
from harness.models.positions import learned_positions
from harness.models.requests import request_name, require_finite
from harness.models.sampling import numbered
from harness.terminal.bars import progress


class MaskedRow(NamedTuple):
    """One text through the model: ids with the mask in them, where the predictions are read, and what is expected."""

    input_ids: Sequence[int]
    places: Sequence[int]
    targets: Sequence[int]


class Prediction(NamedTuple):
    """Of one place: log-probability of the expected token in nats, and whether no other token is likelier."""

    logprob: float
    is_top: bool


@register_model("hf-masked")
class MaskedLM(TransformersLM):
    """Models of `AutoModelForMaskedLM`, as a `TransformersLM`.

    A sentence of n tokens is n texts, each with another token masked; texts of like length share a batch, and the
    vocabulary head runs on the masked places alone. Special tokens are never masked. A text longer than the model's
    positions is an error.
    """

    family: ClassVar[Family] = "masked"
    backend_name = "causal"
    AUTO_MODEL_CLASS = AutoModelForMaskedLM

    def __init__(self, pretrained: str, **kwargs: Any) -> None:
        """As `TransformersLM`.

        Raises:
            ValueError: also for a tokenizer without mask token, or one that cannot say where its tokens stand.
        """
        super().__init__(pretrained, **kwargs)
        require_mask(self.tokenizer)

    @property
    def start(self) -> tuple[str, int]:
        """The token before a text, and its id; ("", -1) for tokenizers that put none."""
        token = self.tokenizer.cls_token
        return ("", -1) if token is None else (str(token), int(self.tokenizer.cls_token_id))

    @property
    def max_length(self) -> int:
        """Tokens of a text, special tokens included; no more than the model has positions, whatever was asked for."""
        if (positions := learned_positions(self._model)) is None:
            return int(super().max_length)
        return min(int(self._max_length or positions), positions) - self._applied.longest

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score continuations; a request's arguments are (context, continuation) or (context, continuation, given).

        Plain: the pseudo-log-likelihood of the continuation, sum over its tokens of log P(token | context and all other
        tokens), in nats; tokens whose numbers are in `given` are read but not scored. With the mask token in the
        context it is a cloze that the continuation fills: log of the mean probability of its sub-tokens, left to right,
        the later ones absent (StereoSet's published score). The flag: whether every token was the likeliest one.

        Raises:
            ValueError: a text is longer than the model's positions, or has a token that it has no embedding for.
            FloatingPointError: a score is not finite.
        """
        rows: list[MaskedRow] = []
        owners: list[int] = []
        clozes = set()
        positions = self.max_length
        for number, request in enumerate(requests):
            context, continuation, *given = request.args
            if self.tokenizer.mask_token in context:
                clozes.add(number)
                found = self._cloze(request)
            else:
                text = scored_text(self.tokenizer, context, continuation, *given)
                found = list(self._one_mask_each(text.input_ids, text.places))
            self.require_embedded(request, *(ids for row in found for ids in (row.input_ids, row.targets)))
            if (longest := max((len(row.input_ids) for row in found), default=0)) > positions:
                raise ValueError(self.too_long(request, longest))
            rows += found
            owners += [number] * len(found)
        predictions: list[list[Prediction]] = [[] for _ in requests]
        for place, found_there in self._predict(rows, disable_tqdm):
            predictions[owners[place]] += found_there
        answers = [
            (_log_mean(found) if number in clozes else _sum(found), all(one.is_top for one in found))
            for number, found in enumerate(predictions)
        ]
        require_finite(requests, [logprob for logprob, _ in answers])
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Pseudo-log-likelihood of documents in nats, cut into windows that do not overlap.

        A request's arguments are (text,), of which every token is scored in windows of `max_length`, or (text, scored,
        window): the numbers of the tokens that are scored, and how many ids a window has at most.

        Raises:
            FloatingPointError: a score is not finite.
        """
        totals = []
        with progress(len(requests), "Documents", hidden=disable_tqdm or self.rank != 0) as bar:
            for request in requests:
                text, *sample = request.args
                scored, window = (set(sample[0]), sample[1]) if sample else (None, self.max_length)
                texts = windows(self.tokenizer, text, min(window, self.max_length), scored)
                self.require_embedded(request, [self.tokenizer.mask_token_id], *(one.input_ids for one in texts))
                rows = [row for one in texts for row in self._one_mask_each(one.input_ids, one.places)]
                totals.append(_sum([one for _, found in self._predict(rows, disable_tqdm=True) for one in found]))
                bar.update()
        require_finite(requests, totals)
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts from a model that was made to fill gaps.

        A prompt with the mask token in it is a template: the r-th time it is asked for, the answer is the r-th
        likeliest token for the gap. Any other prompt is continued left to right: as many masks as may be generated
        follow it, and the leftmost is filled, again and again, greedily or drawn as `harness.models.sampling` does.

        Raises:
            ValueError: a prompt and what may be generated after it exceed the model's positions.
        """
        templates: list[tuple[int, Any, int]] = []
        texts: list[tuple[int, Any, int]] = []
        for number, (request, repeat) in enumerate(zip(requests, numbered(requests), strict=True)):
            mask = self.tokenizer.mask_token
            self.require_embedded(request, self.tokenizer(request.args[0] + mask, verbose=False)["input_ids"])
            fills_a_gap = mask in request.args[0]
            (templates if fills_a_gap else texts).append((number, request, repeat))
        answers = [""] * len(requests)
        for number, answer in fill_templates(self, templates):
            answers[number] = answer
        for number, answer in complete(self, texts, disable_tqdm):
            answers[number] = answer
        return answers

    def log_distributions(self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> Tensor:
        """[N, V]: log-probabilities over the vocabulary at each place of each row, in order, in fp32 on the device."""

        def behind(prefix: tuple[int, ...]) -> Tensor:
            longer = [put_before(row, prefix, self.tokenizer.cls_token_id) for row in rows]
            return self._logits(longer, [[place + len(prefix) for place in found] for found in places])

        with torch.inference_mode():
            log_p: Tensor = self._applied(behind).float().log_softmax(-1)
        return log_p

    def _logits(self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> Tensor:
        """[N, V] at each place of each row, in order."""
        width = max(map(len, rows))
        padding = self.tokenizer.pad_token_id or 0
        input_ids = torch.full((len(rows), width), padding)
        attention_mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            input_ids[number, : len(row)] = torch.as_tensor(row)
            attention_mask[number, : len(row)] = 1
        owners = torch.tensor([number for number, found in enumerate(places) for _ in found], device=self.device)
        columns = torch.tensor([place for found in places for place in found], device=self.device)
        return logits_at(
            self._model,
            owners,
            columns,
            input_ids=input_ids.to(self.device),
            attention_mask=attention_mask.to(self.device),
        )

    def _cloze(self, request: Any) -> list[MaskedRow]:
        context, continuation, *_ = request.args
        try:
            found = slots(self.tokenizer, context, continuation)
        except ValueError as error:
            raise ValueError(f"{request_name(request)}: {error}") from None
        return [MaskedRow(slot.input_ids, slot.places, [slot.target] * len(slot.places)) for slot in found]

    def _one_mask_each(self, input_ids: Sequence[int], places: Sequence[int]) -> Iterator[MaskedRow]:
        for place in places:
            masked = [*input_ids[:place], self.tokenizer.mask_token_id, *input_ids[place + 1 :]]
            yield MaskedRow(masked, [place], [input_ids[place]])

    def _predict(self, rows: Sequence[MaskedRow], disable_tqdm: bool) -> Iterator[tuple[int, list[Prediction]]]:
        """The number of each row and its predictions, in no particular order of rows."""
        # Sentences of a pair, and words for one blank, differ in what is expected only once the difference is masked.
        texts: defaultdict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            texts[tuple(row.input_ids), tuple(row.places)].append(number)
        order = sorted(texts, key=lambda text: (-len(text[0]), text))
        with progress(len(rows), "Masked texts", hidden=disable_tqdm or self.rank != 0) as bar:
            for batch, log_p in self.over_batches(
                order,
                lambda text: len(text[0]) + self._applied.longest,
                lambda batch: self.log_distributions([ids for ids, _ in batch], [places for _, places in batch]),
                lambda text: len(text[1]),
            ):
                first = [0, *accumulate(len(places) for _, places in batch)]
                asked = [(start, number) for start, text in zip(first, batch, strict=False) for number in texts[text]]
                lines = [start + nth for start, number in asked for nth in range(len(rows[number].targets))]
                targets = [token for _, number in asked for token in rows[number].targets]
                expected = log_p[lines, targets]
                tops = expected >= log_p.amax(1)[lines]
                answers = iter([Prediction(*pair) for pair in zip(expected.tolist(), tops.tolist(), strict=True)])
                for _, number in asked:
                    yield number, [next(answers) for _ in rows[number].targets]
                bar.update(len(asked))


def _sum(predictions: Sequence[Prediction]) -> float:
    return math.fsum(one.logprob for one in predictions)


def _log_mean(predictions: Sequence[Prediction]) -> float:
    """log of the mean of probabilities, which may be too small for a float themselves."""
    logprobs = torch.tensor([one.logprob for one in predictions], dtype=torch.float64)
    return float(logprobs.logsumexp(0) - math.log(len(predictions)))
