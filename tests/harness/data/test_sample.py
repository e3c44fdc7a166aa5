"""The built-in sample covers what the real sets cover, so that a demonstration exercises every part."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from harness.data import crows_pairs, stereoset, wikitext
from harness.data.sources import SAMPLE, SOURCES


def test_pairs_cover_every_bias_type_in_both_directions() -> None:
    pairs = crows_pairs.read(SAMPLE / SOURCES["crows_pairs"].path)
    assert len(pairs) == 90
    assert SOURCES["crows_pairs"].sample.startswith("90 ")
    assert Counter(pair.bias_type for pair in pairs) == dict.fromkeys(crows_pairs.BIAS_TYPES, 10)
    assert len({(pair.bias_type, pair.direction) for pair in pairs}) == 18
    assert len({pair.pair_id for pair in pairs}) == 90


def test_pairs_have_the_published_columns(real_data: Path) -> None:
    def header(folder: Path) -> list[str]:
        with (folder / SOURCES["crows_pairs"].path).open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file))

    assert header(SAMPLE) == header(real_data)


def test_every_writer_wrote_of_every_bias_type() -> None:
    """Folds keep a writer's pairs on one side: a bias type of one writer alone would be absent from the other."""
    of_writer = defaultdict(set)
    for pair in crows_pairs.read(SAMPLE / SOURCES["crows_pairs"].path):
        of_writer[pair.writer].add(pair.bias_type)
    assert len(of_writer) == 9
    assert all(types == set(crows_pairs.BIAS_TYPES) for types in of_writer.values())


@pytest.mark.parametrize("task", stereoset.TASKS)
def test_items_cover_every_bias_type_and_term(task: stereoset.Task) -> None:
    items = stereoset.read(SAMPLE / SOURCES["stereoset"].path, task)
    assert Counter(item.bias_type for item in items) == dict.fromkeys(stereoset.BIAS_TYPES, 16)
    assert Counter(Counter(item.target for item in items).values()) == {4: 16}
    assert all(item.target.lower() in item.context.lower() for item in items)


def test_intrasentence_options_fill_the_blank_with_one_word() -> None:
    for item in stereoset.read(SAMPLE / SOURCES["stereoset"].path, "intrasentence"):
        filled = re.escape(item.context).replace("BLANK", r"\w+")
        options = (item.stereotype, item.anti_stereotype, item.unrelated)
        assert len(set(options)) == 3
        assert all(re.fullmatch(filled, option) for option in options), item


def test_articles_are_short_and_in_tokenised_form() -> None:
    documents = wikitext.read(SAMPLE / SOURCES["wikitext2"].path)
    assert len(documents) == 6
    assert all(60 <= len(one.page.split()) <= 150 for one in documents)
    assert not re.search(r"\w[.,;:]( |$)", "".join(one.page for one in documents))


def test_no_sentence_of_the_sample_stands_in_a_published_set(real_data: Path) -> None:
    def sentences(folder: Path) -> set[str]:
        pairs = crows_pairs.read(folder / SOURCES["crows_pairs"].path)
        texts = [text for pair in pairs for text in (pair.sent_more, pair.sent_less)]
        for task in stereoset.TASKS:
            for item in stereoset.read(folder / SOURCES["stereoset"].path, task):
                texts += [item.context, item.stereotype, item.anti_stereotype, item.unrelated]
        return {re.sub(r"[^a-z ]", "", text.lower()) for text in texts}

    assert not sentences(SAMPLE) & sentences(real_data)
