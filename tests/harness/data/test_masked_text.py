"""Which tokens of a text a masked model is asked for, and how a word stands in a blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.data import crows_pairs
from harness.data.masked_text import scored_text, slots, windows
from harness.data.tokens import MaskedTokens


def scored(tokenizer: Any, context: str, continuation: str, given: list[int] | None = None) -> list[str]:
    text = scored_text(tokenizer, context, continuation, given or [])
    return [str(tokenizer.convert_ids_to_tokens(text.input_ids[place])) for place in text.places]


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("", "The nurse", ["the", "nurse"]),
        ("The nurse", " was playing.", ["was", "play", "##ing", "."]),
        ("The nurse ", "was", ["was"]),
        ("The house", "keeper", ["##keeper"]),
        ("The nurse.", "", []),
    ],
)
def test_the_continuations_tokens_are_scored_and_no_special_ones(
    context: str, continuation: str, expected: list[str]
) -> None:
    assert scored(tiny_models.word_pieces(), context, continuation) == expected


def test_a_token_over_the_border_is_the_continuations() -> None:
    assert scored(tiny_models.byte_level(), "t", "he nurse") == ["the", "Ġ", "n", "u", "r", "s", "e"]


def test_a_space_that_is_a_token_of_its_own_is_scored() -> None:
    assert scored(tiny_models.byte_level(), "the", "  x") == ["Ġ", "Ġ", "x"]
    assert scored(tiny_models.unigram(), "", "x the") == ["▁", "x", "▁the"]


def test_given_tokens_are_counted_from_the_first_of_the_continuation() -> None:
    assert scored(tiny_models.word_pieces(), "The nurse", " was playing.", [0, 2]) == ["play", "."]


def test_without_special_tokens_every_token_is_scored() -> None:
    assert scored(tiny_models.word_pieces(special=False), "", "the nurse") == ["the", "nurse"]


def test_every_token_of_the_real_pairs_is_scored_and_counted(real_data: Path) -> None:
    pairs = crows_pairs.read(real_data / "crows_pairs" / "crows_pairs_anonymized.csv")
    for name in ("bert-base-uncased", "bert-base-cased", "roberta-base"):
        tokenizer = tiny_models.real_tokenizer(real_data, name)
        tokens = MaskedTokens(tokenizer)
        for pair in pairs:
            for text in (pair.sent_more, pair.sent_less):
                plain = tokenizer(text, add_special_tokens=False)["input_ids"]
                ids, places = scored_text(tokenizer, "", text)
                assert [ids[place] for place in places] == plain
                assert tokens.count("", text) == tokens.count_rolling(text) == len(plain)


def filled(tokenizer: Any, template: str, fill: str) -> list[tuple[str, list[int], str]]:
    """Each slot as text, with the places of its mask and the token expected there."""
    return [
        (
            " ".join(tokenizer.convert_ids_to_tokens(slot.input_ids)),
            slot.places,
            tokenizer.convert_ids_to_tokens(slot.target),
        )
        for slot in slots(tokenizer, template, fill)
    ]


def test_sub_tokens_are_asked_for_left_to_right_the_later_ones_absent() -> None:
    assert filled(tiny_models.word_pieces(), "The [MASK] was", "housekeeper") == [
        ("[CLS] the [MASK] was [SEP]", [2], "house"),
        ("[CLS] the house [MASK] was [SEP]", [3], "##keeper"),
    ]


def test_a_blank_twice_is_masked_in_both_places() -> None:
    assert filled(tiny_models.word_pieces(), "[MASK] is a [MASK]", "playing") == [
        ("[CLS] [MASK] is a [MASK] [SEP]", [1, 4], "play"),
        ("[CLS] play [MASK] is a play [MASK] [SEP]", [2, 6], "##ing"),
    ]


def test_a_word_after_a_space_begins_with_it_where_the_vocabulary_has_such_tokens() -> None:
    tokenizer = tiny_models.byte_level()
    assert filled(tokenizer, "the <mask>.", "kind") == [("<s> the <mask> . </s>", [2], "Ġkind")]
    assert filled(tokenizer, "<mask> the", "kind") == [("<s> <mask> Ġthe </s>", [1], "kind")]


@pytest.mark.parametrize(("template", "fill"), [("no blank", "nurse"), ("a [MASK]", " ")])
def test_nothing_to_score_is_an_error(template: str, fill: str) -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        slots(tiny_models.word_pieces(), template, fill)


def test_windows_hold_every_token_once_between_special_tokens() -> None:
    tokenizer = tiny_models.word_pieces()
    pieces = windows(tokenizer, "the nurse was kind he is the", 5)
    assert [tokenizer.convert_ids_to_tokens(piece.input_ids) for piece in pieces] == [
        ["[CLS]", "the", "nurse", "was", "[SEP]"],
        ["[CLS]", "kind", "he", "is", "[SEP]"],
        ["[CLS]", "the", "[SEP]"],
    ]
    assert [piece.places for piece in pieces] == [[1, 2, 3], [1, 2, 3], [1]]
    assert windows(tokenizer, "", 5) == []
