"""Text as an encoder-decoder reads it: what differs between sentences is cut out, and the decoder puts it back.

This is T5's own pre-training form (Raffel et al. 2020, section 3.1.4): sentinel tokens stand for the spans in the
encoder's text, and the decoder's text is each sentinel with its span, closed by one more sentinel and the end token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
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
    shared: list[str] = []
    gaps: list[tuple[str, str]] = []
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    for tag, start, end, other_start, other_end in blocks:
        if tag == "equal" and ("".join(left[start:end]).strip() or not gaps):
            shared += ["".join(left[start:end])]
        elif shared and shared[-1] is _GAP:
            gaps[-1] = (gaps[-1][0] + "".join(left[start:end]), gaps[-1][1] + "".join(right[other_start:other_end]))
        else:
            shared.append(_GAP)
            gaps.append(("".join(left[start:end]), "".join(right[other_start:other_end])))
    return Infill(_numbered(shared), tuple(filled([gap[side] for gap in gaps]) for side in (0, 1)))


def infill_blank(context: str, blank: str, fills: Sequence[str]) -> Infill:
    """`context` with a sentinel for every `blank`, and the decoder's text of each fill."""
    parts = context.split(blank)
    shared = [piece for part in parts for piece in (part, _GAP)][:-1]
    return Infill(_numbered(shared), tuple(filled([fill] * (len(parts) - 1)) for fill in fills))


def filled(spans: Sequence[str]) -> str:
    """The decoder's text: each sentinel with its span, and a last sentinel that closes."""
    pieces = [piece for number, span in enumerate(spans) for piece in (sentinel(number), span.strip())]
    return " ".join([piece for piece in pieces if piece] + [sentinel(len(spans))])


def source_ids(tokenizer: Any, text: str) -> list[int]:
    """The encoder's ids: as the tokenizer has them, closed by the end token whether it adds one or not."""
    return _closed(tokenizer, list(tokenizer(text, verbose=False)["input_ids"]))


def target_ids(tokenizer: Any, text: str) -> list[int]:
    """The decoder's labels: the text's own tokens and the end token."""
    return _closed(tokenizer, list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]))


_GAP = "\0"


def _numbered(pieces: Sequence[str]) -> str:
    text, number = "", 0
    for piece in pieces:
        text += sentinel(number) if piece is _GAP else piece
        number += piece is _GAP
    return text


def _closed(tokenizer: Any, ids: list[int]) -> list[int]:
    end = tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]
