"""A sentence as one vector: the mean, over its own tokens, of the last hidden state, as the vocabulary head reads it.

- causal: the sentence after the start token, as it is scored; the state that has read a token, after the final norm.
- masked: the sentence between its special tokens, nothing masked; what the head's first layer reads.
- encoder-decoder: the encoder reads the sentence, and the decoder is given the same sentence as its text, after its
  start token; the decoder's state that has read a token, after the final norm. So it is the state of a decoder that
  writes this very sentence.

Start, end and other special tokens are read and not averaged over, and padding is masked. In float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.data.infill import source_ids
from harness.data.masked_text import scored_text
from harness.mitigation.place import Place, reading
from harness.models.base import TransformersLM
from harness.models.embedded import padding_id, unknown_token
from harness.terminal.bars import progress


class Row(NamedTuple):
    """Ids through the model, the places of the sentence's own tokens among them, and what an encoder reads."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    source: tuple[int, ...] = ()


def features(lm: TransformersLM, place: Place, sentences: Sequence[str]) -> Tensor:
    """[N, D] in float32, on the CPU. A sentence longer than the model's window is read as far as the window goes.

    Args:
        place: where the last hidden state is read, see `place_of`.

    Raises:
        ValueError: a sentence has no token, or one that the model has no embedding for; names the sentence.
        FloatingPointError: a feature is not finite.
    """
    rows = [_row(lm, sentence) for sentence in sentences]
    order = sorted(range(len(rows)), key=lambda number: (-len(rows[number].ids), number))
    found = torch.zeros(len(rows), place.width)
    with progress(len(rows), "Features") as bar:
        for batch, means in lm.over_batches(
            order,
            lambda number: max(len(rows[number].ids), len(rows[number].source)),
            lambda batch: _means(lm, place, [rows[number] for number in batch]),
            lambda _: 1,
        ):
            found[torch.tensor(batch)] = means
            bar.update(len(batch))
    if not found.isfinite().all():
        number = int((~found.isfinite()).any(1).nonzero()[0])
        raise FloatingPointError(
            f"{lm.pretrained}: the last hidden state of {sentences[number]!r} is not finite; the weights are broken"
        )
    return found


def inputs(lm: TransformersLM, rows: Sequence[Row]) -> dict[str, Any]:
    """What the model is called with for these rows, padded on the right."""
    ids, mask = _padded(lm, [row.ids for row in rows])
    if lm.family == "masked":
        return {"input_ids": ids, "attention_mask": mask}
    if lm.family == "causal":
        return {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    source, source_mask = _padded(lm, [row.source for row in rows])
    read = {"input_ids": source, "attention_mask": source_mask}
    return {**read, "decoder_input_ids": ids, "decoder_attention_mask": mask, "use_cache": False}


def _row(lm: TransformersLM, sentence: str) -> Row:
    row = as_read(lm, sentence)
    if not row.places:
        raise ValueError(f"{sentence!r}: no token of it is left in the window of {lm.max_length} tokens")
    if told := unknown_token(lm.tokenizer, lm.whole_model, row.ids, row.source):
        raise ValueError(f"{sentence!r} has {told}; take another text, or the tokenizer that the model was made with")
    return row


def as_read(lm: TransformersLM, sentence: str) -> Row:
    """A sentence as the model reads it, cut at the window."""
    if lm.family == "masked":
        text = scored_text(lm.tokenizer, "", sentence)
        kept = len(text.places) - max(0, len(text.input_ids) - lm.max_length)
        cut = set(text.places[max(0, kept) :])
        ids = tuple(token for place, token in enumerate(text.input_ids) if place not in cut)
        return Row(ids, tuple(text.places[: max(0, kept)]))
    own = list(lm.tokenizer(sentence, add_special_tokens=False, verbose=False)["input_ids"])[: lm.max_length - 1]
    source = source_ids(lm.tokenizer, sentence)[: lm.max_length] if lm.family == "seq2seq" else []
    return Row((lm.start[1], *own), tuple(range(1, len(own) + 1)), tuple(source))


@torch.inference_mode()
def _means(lm: TransformersLM, place: Place, rows: Sequence[Row]) -> Tensor:
    states: list[Tensor] = []

    def keep(state: Tensor) -> Tensor:
        states.append(state)
        # The head would make logits of every token, which nobody asks for.
        return state[:, :1]

    with reading(place, keep):
        lm.whole_model(**inputs(lm, rows))
    (state,) = states
    own = torch.zeros(state.shape[:2], device=state.device)
    for number, row in enumerate(rows):
        own[number, list(row.places)] = 1
    sums = (state.float() * own[:, :, None]).sum(1)
    return (sums / own.sum(1, keepdim=True)).cpu()


def _padded(lm: TransformersLM, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids [B, T] and their mask."""
    ids = torch.full((len(rows), max(map(len, rows))), padding_id(lm.tokenizer, lm.whole_model))
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return ids.to(lm.device), mask.to(lm.device)
