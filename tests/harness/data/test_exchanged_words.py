"""Which held-out pairs exchange words that training exchanged in other sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import crows_pairs
from harness.data.crows_pairs import Pair
from harness.data.exchanged_words import exchanged_words, words_seen
from harness.data.sources import SOURCES
from training.folds import grouped_folds


def pair(more: str, less: str) -> Pair:
    return Pair(0, more, less, "stereo", "age", "w0")


def test_words_count_in_small_letters_and_in_either_order() -> None:
    one, other = pair("Women cannot drive.", "Men cannot drive."), pair("The men cook.", "The women cook.")
    assert exchanged_words(one) == exchanged_words(other) == {frozenset({"women"}), frozenset({"men"})}


def test_a_word_that_is_only_left_out_is_exchanged_for_nothing() -> None:
    assert exchanged_words(pair("He is not poor.", "He is poor.")) == {frozenset({"not"}), frozenset()}


def test_sentences_of_the_same_words_exchange_none_and_are_never_seen() -> None:
    one, other = pair("Women lead men.", "Men lead women."), pair("Vets heal dogs.", "Dogs heal vets.")
    assert exchanged_words(one) == exchanged_words(other) == frozenset()
    assert words_seen([one, other], {other.pair_id}, {one.pair_id}) == frozenset()


@pytest.mark.parametrize(("trained", "seen"), [("Old men sing.", True), ("Old men and boys sing.", False)])
def test_exactly_the_same_words_are_seen_and_no_others(trained: str, seen: bool) -> None:
    held = pair("Some men lie.", "Some women lie.")
    other = pair(trained, trained.replace("men", "women").replace("boys", "girls"))
    assert words_seen([held, other], {other.pair_id}, {held.pair_id}) == ({held.pair_id} if seen else set())


def test_more_than_a_third_of_the_published_pairs_exchange_words_that_training_exchanged(real_data: Path) -> None:
    """In four folds 555 of 1,508, or 566 if the 11 pairs whose sentences have the same words counted as seen."""
    pairs = crows_pairs.read(real_data / SOURCES["crows_pairs"].path)
    folds = grouped_folds(pairs, 4)
    seen = []
    for fold in range(4):
        names = {
            part: {one.pair_id for one, its in zip(pairs, folds, strict=True) if (its == fold) == part}
            for part in (True, False)
        }
        found = words_seen(pairs, train=names[False], held_out=names[True])
        seen += [one for one, its in zip(pairs, folds, strict=True) if its == fold and one.pair_id in found]
    assert len(seen) == 555
    assert sum(not exchanged_words(one) for one in pairs) == 11
