"""T5's span corruption: what is hidden can be put back, lengths are T5's own, and the same ones every time."""

from __future__ import annotations

from collections import Counter

import pytest
import tiny_models

from harness.data.draw import drawn
from harness.data.span_corruption import Corrupted, corrupted, spans_in, window_of

TEXT = "the nurse was kind and he was the kind one " * 30


@pytest.fixture(scope="module")
def t5() -> tiny_models.Any:
    return tiny_models.unigram()


def put_back(tokenizer: tiny_models.Any, one: Corrupted) -> list[int]:
    """The window's own tokens: each sentinel of the encoder's text replaced by what follows it in the decoder's."""
    marks = [tokenizer.convert_tokens_to_ids(f"<extra_id_{number}>") for number in range(20)]
    spans: dict[int, list[int]] = {}
    for token in one.target[:-1]:
        if token in marks:
            spans[mark := token] = []
        else:
            spans[mark].append(token)
    assert list(spans) == marks[: len(spans)]
    assert all(spans.values())
    return [token for shown in one.source[:-1] for token in spans.get(shown, [shown])]


def test_every_window_is_whole_once_its_spans_are_put_back(t5: tiny_models.Any) -> None:
    parts = corrupted(t5, TEXT, 100, "0/1")
    assert [token for part in parts for token in put_back(t5, part)] == t5(TEXT, add_special_tokens=False)["input_ids"]
    assert all(part.source[-1] == part.target[-1] == t5.eos_token_id for part in parts)
    assert {part.length for part in parts[:-1]} == {100}
    assert parts[0].hidden == 15
    assert len(parts[0].target) == 15 + 5 + 1
    assert len(parts[0].source) == 85 + 5 + 1


@pytest.mark.parametrize(
    ("length", "expected"), [(2, (1, 1)), (3, (1, 1)), (10, (2, 1)), (100, (15, 5)), (512, (77, 26)), (568, (85, 28))]
)
def test_as_many_tokens_and_spans_are_hidden_as_t5_hides(length: int, expected: tuple[int, int]) -> None:
    assert spans_in(length) == expected


def test_spans_depend_on_the_key_and_on_nothing_else(t5: tiny_models.Any) -> None:
    assert corrupted(t5, TEXT, 100, "0/1") == corrupted(t5, TEXT, 100, "0/1")
    first, other = (corrupted(t5, TEXT, 100, key)[0] for key in ("0/1", "0/2"))
    assert first.source != other.source
    second = corrupted(t5, TEXT, 100, "0/1")[1]
    assert first.source != second.source


def test_two_tokens_hide_the_last_and_a_single_one_is_left_out(t5: tiny_models.Any) -> None:
    the, nurse, sentinel = t5.convert_tokens_to_ids(["▁the", "▁nurse", "<extra_id_0>"])
    end = t5.eos_token_id
    assert corrupted(t5, "the nurse", 100, "k") == [Corrupted([the, sentinel, end], [sentinel, nurse, end], 2, 1)]
    assert corrupted(t5, "the nurse the", 2, "k") == corrupted(t5, "the nurse", 2, "k")
    assert corrupted(t5, "the", 100, "k") == []


def test_windows_fit_the_models_positions_and_its_sentinels() -> None:
    assert window_of(tiny_models.unigram(sentinels=100), 512, "wikitext2") == 512
    few = window_of(tiny_models.unigram(sentinels=3), 512, "wikitext2")
    assert spans_in(few)[1] == 3 < spans_in(few + 1)[1]
    short = window_of(tiny_models.unigram(sentinels=100), 64, "wikitext2")
    (first, *_) = corrupted(tiny_models.unigram(sentinels=100), TEXT, short, "k")
    assert len(first.source) <= 64 < short


def test_a_tokenizer_without_sentinels_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"wikitext2: .* has no sentinel tokens"):
        window_of(tiny_models.unigram(sentinels=0), 512, "wikitext2")


def test_draws_are_the_smallest_hashes_and_every_number_is_as_likely() -> None:
    # By sha256sum, a/0 is d7e989..., a/1 773232..., a/2 008ab5... and a/3 25c107...
    assert [drawn("a", 4, count) for count in (1, 2, 3)] == [[2], [2, 3], [1, 2, 3]]
    assert drawn("a", 4, 9) == [0, 1, 2, 3]
    assert drawn("a", 4, 0) == []
    counts = Counter(number for key in range(2000) for number in drawn(str(key), 10, 3))
    assert sum(counts.values()) == 6000
    assert all(abs(counts[number] - 600) < 5 * 21 for number in range(10))
