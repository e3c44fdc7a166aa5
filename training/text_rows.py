"""A piece of running text as each family reads it: what its own training asks for, and `wikitext2` too.

Causal models predict every token, the first from the start token. Masked models predict 15% of the tokens, as many of
each piece as BERT did (Devlin et al. 2019). Encoder-decoders fill in the spans that T5's training hides.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from harness.data.families import Family
from harness.data.infill import require_sentinels
from harness.data.masked_text import require_mask, scored_text
from harness.data.span_corruption import hidden_in, sentinel_ids, window_of
from harness.data.tokens import decoder_start_token_id, load_tokens
from training.masked_pairs import MASKED_SHARE
from training.pair_arguments import PairArguments
from training.pairs import Row
from training.running_text import RowOfText


@dataclass(frozen=True)
class CausalText:
    """Every token, from those before it; the last one predicts nothing, and is not read."""

    start_token_id: int

    def __call__(self, ids: Sequence[int], key: str) -> Row:
        return Row({"input_ids": [self.start_token_id, *ids[:-1]]}, list(range(len(ids))), list(ids))


@dataclass(frozen=True)
class MaskedPiece:
    """15% of the tokens, one at least, behind masks; the piece stands between `before` and `after`.

    With `random_tokens` only 80% of those are behind masks. 10% are replaced by one of so many ids, and 10% stay.
    """

    mask_token_id: int
    before: Sequence[int]
    after: Sequence[int]
    random_tokens: int = 0

    def __call__(self, ids: Sequence[int], key: str) -> Row:
        draw = random.Random(key)
        count = max(1, round(MASKED_SHARE * len(ids)))
        chosen = sorted(draw.sample(range(len(ids)), count))
        shown = list(ids)
        for place in chosen:
            shown[place] = self._in_place_of(ids[place], draw)
        columns = [len(self.before) + place for place in chosen]
        return Row({"input_ids": [*self.before, *shown, *self.after]}, columns, [ids[place] for place in chosen])

    def _in_place_of(self, token: int, draw: random.Random) -> int:
        if not self.random_tokens or (part := draw.random()) < 0.8:
            return self.mask_token_id
        return draw.randrange(self.random_tokens) if part < 0.9 else token


@dataclass(frozen=True)
class CorruptedText:
    """The encoder reads the piece with sentinels for spans of it, the decoder gives the spans back."""

    sentinels: Sequence[int]
    end: int
    decoder_start_token_id: int

    def __call__(self, ids: Sequence[int], key: str) -> Row:
        hidden = hidden_in(ids, self.sentinels, self.end, key)
        inputs = {
            "input_ids": hidden.source,
            "decoder_input_ids": [self.decoder_start_token_id, *hidden.target[:-1]],
        }
        return Row(inputs, list(range(len(hidden.target))), hidden.target)


def row_of_text(
    arguments: PairArguments, family: Family, tokenizer: PreTrainedTokenizerBase, random_tokens: int = 0
) -> RowOfText:
    """How the family is asked for a piece of text.

    Args:
        random_tokens: of masked models, see `MaskedPiece`.

    Raises:
        ValueError: the tokenizer lacks what the family needs: a start token, a mask token, sentinel tokens.
    """
    name = arguments.model_name_or_path
    if family == "causal":
        return CausalText(load_tokens({"pretrained": name, "prefix_token_id": arguments.start_token_id}).start[1])
    if family == "masked":
        require_mask(tokenizer)
        before, after = _around(tokenizer)
        return MaskedPiece(tokenizer.mask_token_id, before, after, random_tokens)
    require_sentinels(tokenizer, "running text")
    return CorruptedText(sentinel_ids(tokenizer), tokenizer.eos_token_id, decoder_start_token_id({"pretrained": name}))


def longest_piece(family: Family, tokenizer: PreTrainedTokenizerBase, window: int) -> int:
    """Tokens of the longest piece of text that a model with such a window reads.

    Raises:
        ValueError: the tokenizer of an encoder-decoder has no sentinels.
    """
    if family == "causal":
        return window
    if family == "masked":
        return window - sum(map(len, _around(tokenizer)))
    return window_of(tokenizer, window, "running text")


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and behind a text."""
    text = scored_text(tokenizer, "", "a")
    return text.input_ids[: text.places[0]], text.input_ids[text.places[-1] + 1 :]
