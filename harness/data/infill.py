"""Text as an encoder-decoder reads it: what differs between sentences is cut out, and the decoder puts it back.

This is T5's own pre-training form (Raffel et al. 2020, section 3.1.4): sentinel tokens stand for the spans in the
encoder's text, and the decoder's text is each sentinel with its span, closed by one more sentinel and the end token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import count
from typing import Any, NamedTuple


class Infill(NamedTuple):
    """The encoder's text with sentinels for the spans, and for each sentence the decoder's text."""

    template: str
    spans: tuple[str, ...]


def sentinel(number: int) -> str:
    """T5's `number`-th sentinel token, counted from 0."""
    return f"<extra_id_{number}>"


def require_sentinels(tokenizer: Any, asking: str) -> None:
    """Raises:
    ValueError: the tokenizer has no sentinel tokens, so its model was never trained to fill spans in.
    """
    if tokenizer.convert_tokens_to_ids(sentinel(0)) in (None, tokenizer.unk_token_id):
        raise ValueError(
            f"{asking}: {tokenizer.name_or_path} has no sentinel tokens ({sentinel(0)}, ...), so it cannot fill spans "
            "in as T5 does. Ask it by prompt: crows_pairs_prompt, stereoset_prompt"
        )


def infill_pair(more: str, less: str) -> Infill:
    """The text that two sentences share, and what each of them has in its gaps.

    Compared by words, punctuation marks and spaces; gaps that only a space keeps apart are one.
    """
    left, right = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (more, less))
    # None stands for a gap.
    shared: list[str | None] = []
    gaps: list[tuple[str, str]] = []
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    for tag, start, end, other_start, other_end in blocks:
        mine, others = "".join(left[start:end]), "".join(right[other_start:other_end])
        if tag == "equal" and (mine.strip() or not gaps):
            shared.append(mine)
        elif shared and shared[-1] is None:
            gaps[-1] = (gaps[-1][0] + mine, gaps[-1][1] + others)
        else:
            shared.append(None)
            gaps.append((mine, others))
    return Infill(_numbered(shared), tuple(filled([gap[side] for gap in gaps]) for side in (0, 1)))


def infill_blank(context: str, blank: str, fills: Sequence[str]) -> Infill:
    """`context` with a sentinel for every `blank`, and the decoder's text of each fill."""
    parts = context.split(blank)
    shared: list[str | None] = [piece for part in parts for piece in (part, None)][:-1]
    return Infill(_numbered(shared), tuple(filled([fill] * (len(parts) - 1)) for fill in fills))


def filled(spans: Sequence[str]) -> str:
    """The decoder's text: each sentinel with its span, and a last sentinel that closes."""
    pieces = [piece for number, span in enumerate(spans) for piece in (sentinel(number), span.strip())]
    return " ".join([piece for piece in pieces if piece] + [sentinel(len(spans))])


def source_ids(tokenizer: Any, text: str) -> list[int]:
    """The encoder's ids: as the tokenizer has them, closed by the end token whether it adds one or not."""
    return _closed(tokenizer, list(tokenizer(text, verbose=False)["input_ids"]))


def target_ids(tokenizer: Any, text: str) -> list[int]:
    """The decoder's labels: as the tokenizer has them for a target (BART's begin with a token), the end token last."""
    return _closed(tokenizer, list(tokenizer(text_target=text, verbose=False)["input_ids"]))


def _numbered(pieces: Sequence[str | None]) -> str:
    numbers = count()
    return "".join(sentinel(next(numbers)) if piece is None else piece for piece in pieces)


def _closed(tokenizer: Any, ids: list[int]) -> list[int]:
    end = tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]
