"""Encoder-decoder models (T5, FLAN-T5, BART) as an lm-eval model: the decoder's text is scored, end token included."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from lm_eval.api.registry import register_model
from torch import Tensor

from harness.data.families import Family
from harness.data.infill import source_ids, target_ids
from harness.data.span_corruption import corrupted
from harness.data.tokens import decoder_start_token_id
from harness.inference.recipe import put_before
from harness.models.base import TransformersLM
from harness.models.head import logits_at
from harness.models.requests import request_name, require_finite
from harness.terminal.bars import progress

log = logging.getLogger(__name__)


class Seq2SeqRow(NamedTuple):
    """The encoder's ids and the decoder's labels of one request, both closed by the end token."""

    source: Sequence[int]
    target: Sequence[int]


@register_model("hf-seq2seq")
class Seq2SeqLM(TransformersLM):
    """Models of `AutoModelForSeq2SeqLM`, as a `TransformersLM`.

    What lm-eval's own path leaves out or puts in: the end token is scored, padding is masked on both sides, and an
    empty context is an error, since a decoder without its encoder's text measures nothing.
    """

    family: ClassVar[Family] = "seq2seq"
    backend_name = "seq2seq"

    def __init__(self, pretrained: str, **kwargs: Any) -> None:
        """As `TransformersLM`; warns of T5 in fp16, which overflows.

        Raises:
            ValueError: also for a config that does not say what the decoder starts from.
        """
        super().__init__(pretrained, **kwargs)
        self._decoder_start = decoder_start_token_id(self.metadata)
        if self.config.model_type in ("t5", "mt5", "umt5") and self._model.dtype == torch.float16:
            log.warning(
                "%s in float16: T5's feed-forward layers overflow there and are clipped, so that scores can be wrong; "
                "use dtype=float32, or bfloat16 where the GPU has it",
                pretrained,
            )

    @property
    def start(self) -> tuple[str, int]:
        """The token that the decoder starts from, and its id."""
        return str(self.tokenizer.convert_ids_to_tokens(self._decoder_start)), self._decoder_start

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log P(continuation, end token | context) in nats, whether greedy decoding would give it).

        With y_1..y_n the continuation's tokens and y_(n+1) the end token: sum_t log P(y_t | y_<t, encoder(context)).
        As infill (`harness.data.infill`) the context is a text with sentinels for its gaps and the continuation each
        sentinel with what fills it: how likely the model is to put these words there.

        Raises:
            ValueError: an empty context, or a text longer than the model's window.
            FloatingPointError: a score is not finite; names the batch.
        """
        rows = []
        for request in requests:
            context, continuation = request.args
            if not context.strip():
                raise ValueError(
                    f"{request_name(request)}: an encoder-decoder was asked for {continuation[:60]!r} with an empty "
                    "context, which measures nothing. Use a task that asks by infill or prompt: crows_pairs, "
                    "stereoset, crows_pairs_prompt, stereoset_prompt"
                )
            rows.append(Seq2SeqRow(source_ids(self.tokenizer, context), target_ids(self.tokenizer, continuation)))
        return self._answers(rows, requests, disable_tqdm)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability in nats of what `harness.data.span_corruption` hides of documents, sentinels included.

        A request's arguments are (text, key, window): see `corrupted` there.

        Raises:
            ValueError: a text alone, of which an encoder-decoder gives no likelihood, or a window that is too long.
            FloatingPointError: a score is not finite; names the batch.
        """
        rows: list[Seq2SeqRow] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            text, *asked = request.args
            if not asked:
                raise ValueError(
                    f"{request_name(request)}: an encoder-decoder gives no likelihood of a text alone; wikitext2 asks "
                    "it for spans that are hidden in the text"
                )
            for one in corrupted(self.tokenizer, text, key=asked[0], window=asked[1]):
                rows.append(Seq2SeqRow(one.source, one.target))
                owners.append(number)
        answers = self._answers(rows, [requests[owner] for owner in owners], disable_tqdm)
        parts: list[list[float]] = [[] for _ in requests]
        for owner, (logprob, _) in zip(owners, answers, strict=True):
            parts[owner].append(logprob)
        return [math.fsum(found) for found in parts]

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See `TransformersLM.prompt_parts`: the encoder reads all of the prompt, the decoder its start token."""
        return ids, (self._decoder_start,)

    def continuer(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """See `ByRecipe.continuer`; what is shared is the encoder's pass."""
        encoder_outputs = self._model.get_encoder()(input_ids=firsts)
        encoder_outputs.last_hidden_state = encoder_outputs.last_hidden_state[owners]
        cache = None

        def logits_after(token: Tensor) -> Tensor:
            nonlocal cache
            output = self._model(
                encoder_outputs=encoder_outputs,
                decoder_input_ids=token[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            last: Tensor = output.logits[:, -1]
            return last

        return logits_after

    def _prompt_ids(self, prompt: str) -> list[int]:
        return source_ids(self.tokenizer, prompt)

    def _positions_needed(self, prompt: int, room: int) -> int:
        return max(prompt, room)

    def tok_batch_encode(
        self, strings: list[str], padding_side: str = "right", left_truncate_len: int | None = None, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """As lm-eval's, padded on the right: BART counts positions from the left, padding or not."""
        encoded: tuple[Tensor, Tensor] = super().tok_batch_encode(strings, "right", left_truncate_len, **options)
        return encoded

    def _model_generate(self, context: Tensor, max_length: int, stop: list[str], **generation_kwargs: Any) -> Tensor:
        # lm-eval counts the prompt in, as for a decoder alone; here the decoder's text has its start token before it.
        longest = max_length - context.shape[1] + 1
        generated: Tensor = super()._model_generate(context, longest, stop, **generation_kwargs)
        return generated

    def _answers(
        self, rows: Sequence[Seq2SeqRow], requests: Sequence[Any], disable_tqdm: bool
    ) -> list[tuple[float, bool]]:
        """`loglikelihood` of rows, each of which belongs to a request."""
        for row, request in zip(rows, requests, strict=True):
            self.require_embedded(request, row.source, row.target)
            if (longest := max(map(len, row))) > self.max_length:
                raise ValueError(self.too_long(request, longest))
        sizes = _sizes(rows)
        order = sorted(range(len(rows)), key=lambda number: (-sizes[number], tuple(rows[number].source), number))
        answers: list[tuple[float, bool]] = [(float("nan"), False)] * len(rows)
        with progress(len(rows), "Scoring", hidden=disable_tqdm or self.rank != 0) as bar:
            for batch, scored in self.over_batches(
                order,
                sizes.__getitem__,
                lambda batch: self._score([rows[number] for number in batch]),
                lambda number: len(rows[number].target),
            ):
                require_finite([requests[number] for number in batch], [logprob for logprob, _ in scored], batch=True)
                for number, answer in zip(batch, scored, strict=True):
                    answers[number] = answer
                bar.update(len(batch))
        return answers

    @torch.inference_mode()
    def _score(self, rows: Sequence[Seq2SeqRow]) -> list[tuple[float, bool]]:
        """One batch."""
        logits = self._applied(lambda prefix: self._logits(rows, prefix)).float()
        target = torch.tensor([token for row in rows for token in row.target], device=self.device)
        expected = logits.gather(1, target[:, None]).squeeze(1)
        logprobs = expected - logits.logsumexp(1)
        tops = (expected >= logits.amax(1)).to(logprobs.dtype)
        answers = iter(torch.stack([logprobs, tops], 1).tolist())
        own = [[next(answers) for _ in row.target] for row in rows]
        return [(math.fsum(logprob for logprob, _ in found), all(top for _, top in found)) for found in own]

    def _logits(self, rows: Sequence[Seq2SeqRow], prefix: tuple[int, ...]) -> Tensor:
        """[N, V] for each target's tokens, in order. Requests about one context share its pass through the encoder."""
        sources = list(dict.fromkeys(tuple(row.source) for row in rows))
        source, source_mask = self._padded([put_before(ids, prefix, self._text_start) for ids in sources])
        target, target_mask = self._padded([row.target for row in rows])
        owners = torch.tensor([sources.index(tuple(row.source)) for row in rows], device=self.device)
        encoder_outputs = self._model.get_encoder()(input_ids=source, attention_mask=source_mask)
        encoder_outputs.last_hidden_state = encoder_outputs.last_hidden_state[owners]
        start = torch.full_like(target[:, :1], self._decoder_start)
        line, place = target_mask.nonzero(as_tuple=True)
        return logits_at(
            self._model,
            line,
            place,
            encoder_outputs=encoder_outputs,
            attention_mask=source_mask[owners],
            decoder_input_ids=torch.cat([start, target[:, :-1]], 1),
            decoder_attention_mask=target_mask,
            use_cache=False,
        )

    @property
    def _text_start(self) -> int | None:
        """BART's texts begin with one, T5's with none."""
        token: int | None = self.tokenizer.bos_token_id
        return token

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids [B, T] and their mask, padded on the right."""
        width = max(map(len, rows))
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.as_tensor(row)
            mask[number, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)


def _sizes(rows: Sequence[Seq2SeqRow]) -> list[int]:
    """Of each row: its context's tokens and those of the longest continuation that is asked for after this context.

    Sorted by it, requests about one context stand together whatever their own lengths.
    """
    longest: dict[tuple[int, ...], int] = {}
    for source, target in rows:
        longest[tuple(source)] = max(longest.get(tuple(source), 0), len(target))
    return [len(row.source) + longest[tuple(row.source)] for row in rows]
