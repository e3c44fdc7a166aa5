"""Text as a masked language model reads it: ids with the tokenizer's own special tokens, and the places to predict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple


class MaskedText(NamedTuple):
    """Ids of a whole text, special tokens included, and the places in them that are predicted, one mask at a time."""

    input_ids: list[int]
    places: list[int]


class Slot(NamedTuple):
    """A text with one sub-token to predict: its id, and its places in the ids (several where the blank repeats)."""

    input_ids: list[int]
    places: list[int]
    target: int


def require_mask(tokenizer: Any) -> None:
    """Raises:
    ValueError: the tokenizer has no mask token, or cannot say where in a text a token stands.
    """
    if tokenizer.mask_token_id is None:
        raise ValueError(
            f"{tokenizer.name_or_path}: its tokenizer has no mask token, so nothing can be masked; the model's own "
            "tokenizer has one (name it with tokenizer=...), or its tokenizer_config.json has to say which it is"
        )
    if not tokenizer.is_fast:
        raise ValueError(
            f"{tokenizer.name_or_path}: a slow tokenizer, which cannot say where in a text a token stands; save a "
            "fast one beside the model (tokenizer.json)"
        )


def scored_text(tokenizer: Any, context: str, continuation: str, given: Sequence[int] = ()) -> MaskedText:
    """`context` and `continuation` as one text, of which the continuation's tokens are scored.

    A token that holds the end of one and the beginning of the other counts as the continuation's.

    Args:
        tokenizer: a fast transformers tokenizer (it must know which characters a token stands for).
        given: tokens of the continuation, counted from 0 without special tokens, that are read but not scored.
    """
    encoded = tokenizer(
        context + continuation, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    places = [
        place
        for place, ((start, end), special) in enumerate(
            zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
        )
        # Some vocabularies have tokens that stand for no character, such as the space before a text.
        if not special and max(start + 1, end) > len(context)
    ]
    left_out = set(given)
    return MaskedText(list(encoded["input_ids"]), [place for n, place in enumerate(places) if n not in left_out])


def slots(tokenizer: Any, template: str, fill: str) -> list[Slot]:
    """`fill` in the blank of `template` (the mask token), one text a sub-token, left to right.

    The sub-tokens before are filled in, the current one is the mask, the later ones are absent: StereoSet's published
    word score (Nadeem et al. 2021). A blank that occurs twice is filled alike in both places.

    Raises:
        ValueError: the template has no mask token, or the fill no token.
    """
    ids = list(tokenizer(template, verbose=False)["input_ids"])
    mask = tokenizer.mask_token_id
    blanks = [place for place, token in enumerate(ids) if token == mask]
    # A word that follows a space is another token than one that follows nothing, in vocabularies such as RoBERTa's.
    before = template.partition(tokenizer.mask_token)[0]
    space = " " if before.endswith(" ") else ""
    word = list(tokenizer(space + fill.strip(), add_special_tokens=False, verbose=False)["input_ids"])
    if not blanks or not word:
        raise ValueError(f"nothing to score: {template!r} with {fill!r} has {len(blanks)} blanks, {len(word)} tokens")
    found = []
    for number, target in enumerate(word):
        filled: list[int] = []
        places: list[int] = []
        for token in ids:
            filled += [*word[:number], mask] if token == mask else [token]
            if token == mask:
                places.append(len(filled) - 1)
        found.append(Slot(filled, places, target))
    return found


def windows(tokenizer: Any, text: str, longest: int, scored: Collection[int] | None = None) -> list[MaskedText]:
    """A long text in pieces of at most `longest` ids, each between the tokenizer's special tokens.

    Args:
        scored: the tokens of the text, counted from 0 without special tokens, that are predicted; by default all. A
            piece without any is left out.
    """
    ids, places = scored_text(tokenizer, "", text)
    if not places:
        return []
    before, after = ids[: places[0]], ids[places[-1] + 1 :]
    tokens = ids[places[0] : places[-1] + 1]
    size = longest - len(before) - len(after)
    pieces = []
    for start in range(0, len(tokens), size):
        piece = tokens[start : start + size]
        asked = [n for n in range(len(piece)) if scored is None or start + n in scored]
        if asked:
            pieces.append(MaskedText([*before, *piece, *after], [len(before) + n for n in asked]))
    return pieces
