"""Perplexities against a hand count and against lm-eval's own aggregation."""

from __future__ import annotations

import math

import pytest
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity

from harness.metrics import wikitext
from harness.metrics.wikitext import DocumentScore

DOCUMENTS = [DocumentScore("0 A", -10.0, 4, 20, 5), DocumentScore("1 B", -2.0, 2, 4, 3)]


def test_perplexities_are_of_the_summed_log_probability_not_a_mean_over_documents() -> None:
    found = wikitext.metrics(DOCUMENTS)
    assert found["word_perplexity"] == pytest.approx(math.exp(12 / 6))
    assert found["byte_perplexity"] == pytest.approx(math.exp(12 / 24))
    assert found["bits_per_byte"] == pytest.approx(12 / 24 / math.log(2))
    assert found["token_perplexity"] == pytest.approx(math.exp(12 / 8))


def test_they_are_lm_evals_own_numbers() -> None:
    found = wikitext.metrics(DOCUMENTS)
    assert found["word_perplexity"] == pytest.approx(weighted_perplexity([(d.logprob, d.words) for d in DOCUMENTS]))
    assert found["bits_per_byte"] == pytest.approx(bits_per_byte([(d.logprob, d.bytes) for d in DOCUMENTS]))


def test_a_line_of_the_file_gives_the_record_and_a_broken_number_names_the_document() -> None:
    doc = {"document": 3, "title": "Robert", "words": 4, "bytes": 20, "tokens": 5}
    expected = DocumentScore("3 Robert", -7.5, 4, 20, 5)
    assert wikitext.record({"doc": doc, "filtered_resps": ["-7.5"]}) == expected
    assert wikitext.record({"doc": doc, "filtered_resps": [-7.5]}) == expected
    sampled = wikitext.record({"doc": {**doc, "window": 128}, "filtered_resps": ["-7.5"]})
    assert sampled.document == "3 Robert, 5 tokens in windows of 128"  # a sample of another size is another item
    with pytest.raises(ValueError, match="Robert"):
        wikitext.record({"doc": doc, "filtered_resps": ["nan"]})
