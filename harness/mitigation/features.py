"""A sentence as one vector: the mean, over its own tokens, of the last hidden state, as the vocabulary head reads it.

- causal: the sentence after the start token, as it is scored; the state that has read a token, after the final norm.
- masked: the sentence between its special tokens, nothing masked; what the head's first layer reads.
- encoder-decoder: T5's own task, in which it is scored too. The encoder reads the sentence with a sentinel in place of
  one token, the decoder its start token and the sentinel; what is read is the decoder's state that has the token to
  say, after the final norm. Up to `HIDDEN` tokens, evenly spaced, are hidden, one at a time.

Start, end and other special tokens are read and not averaged over, and padding is masked. In float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.data.infill import require_sentinels, sentinel
from harness.data.masked_text import scored_text
from harness.mitigation.place import Place, reading
from harness.models.base import TransformersLM
from harness.models.embedded import padding_id, unknown_token
from harness.terminal.bars import progress

HIDDEN = 4
"""Of an encoder-decoder's sentence; each costs a pass. Given the whole sentence the decoder would only copy."""


class Row(NamedTuple):
    """Ids through the model, or its decoder, the places whose states are read, and what an encoder reads."""

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
    rows, owners = [], []
    for number, sentence in enumerate(sentences):
        read = _rows(lm, sentence)
        rows += read
        owners += [number] * len(read)
    sizes = [max(len(row.ids), len(row.source)) for row in rows]
    order = sorted(range(len(rows)), key=lambda number: (-sizes[number], number))
    of_rows = torch.zeros(len(rows), place.width)
    with progress(len(rows), "Features") as bar:
        for batch, means in lm.over_batches(
            order,
            sizes.__getitem__,
            lambda batch: _means(lm, place, [rows[number] for number in batch]),
            lambda _: 1,
        ):
            of_rows[torch.tensor(batch)] = means
            bar.update(len(batch))
    whose = torch.tensor(owners)
    counts = torch.zeros(len(sentences)).index_add(0, whose, torch.ones(len(rows)))
    found = torch.zeros(len(sentences), place.width).index_add(0, whose, of_rows) / counts[:, None]
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


def _rows(lm: TransformersLM, sentence: str) -> list[Row]:
    rows = as_read(lm, sentence)
    if not rows:
        raise ValueError(f"{sentence!r}: no token of it is left in the window of {lm.max_length} tokens")
    for row in rows:
        if told := unknown_token(lm.tokenizer, lm.whole_model, row.ids, row.source):
            raise ValueError(
                f"{sentence!r} has {told}; take another text, or the tokenizer that the model was made with"
            )
    return rows


def as_read(lm: TransformersLM, sentence: str) -> list[Row]:
    """A sentence as the model reads it, cut at the window: one row, of an encoder-decoder one a hidden token.

    Raises:
        ValueError: an encoder-decoder whose tokenizer has no sentinels.
    """
    if lm.family == "masked":
        text = scored_text(lm.tokenizer, "", sentence)
        kept = max(0, len(text.places) - max(0, len(text.input_ids) - lm.max_length))
        cut = set(text.places[kept:])
        ids = tuple(token for place, token in enumerate(text.input_ids) if place not in cut)
        return [Row(ids, tuple(text.places[:kept]))] if kept else []
    own = tuple(lm.tokenizer(sentence, add_special_tokens=False, verbose=False)["input_ids"])[: lm.max_length - 1]
    if lm.family == "causal":
        return [Row((lm.start[1], *own), tuple(range(1, len(own) + 1)))] if own else []
    require_sentinels(lm.tokenizer, "features of an encoder-decoder")
    mark, end = int(lm.tokenizer.convert_tokens_to_ids(sentinel(0))), lm.tokenizer.eos_token_id
    count = min(HIDDEN, len(own))
    hidden = [(2 * number + 1) * len(own) // (2 * count) for number in range(count)]
    return [Row((lm.start[1], mark), (1,), (*own[:place], mark, *own[place + 1 :], end)) for place in hidden]


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
