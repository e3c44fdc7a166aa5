"""WikiText-2 perplexity: whether a debiased model still models language.

Of a masked model it is the pseudo-perplexity of a sample of tokens (Salazar et al. 2020), of an encoder-decoder that of
what T5's span corruption hides (Raffel et al. 2020): three questions, so values compare within a family only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.metrics.aggregation import Scores, metric_list, name_of, ratio, row_values
from harness.metrics.statistics import Array, ClusterTable, estimate, table_from

METRICS = ("word_perplexity", "byte_perplexity", "bits_per_byte", "token_perplexity", "n")


class DocumentScore(NamedTuple):
    """One document's log-probability (nats), the tokens that were scored, and the words and bytes that these stand for.

    All of the original's for a causal model; of a sample of the document its share of them.
    """

    document: str
    logprob: float
    words: float
    bytes: float
    tokens: int


def record(sample: Mapping[str, Any]) -> DocumentScore:
    """The record of one line of lm-eval's samples file."""
    return _score(sample["doc"], sample["filtered_resps"])


def process_results(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
    """lm-eval's values of one row."""
    return row_values(METRIC_LIST, list(_score(doc, results)))


def table(records: Sequence[DocumentScore]) -> ClusterTable:
    """Sums per document, which weighs what it has of words."""
    columns: dict[str, Sequence[float]] = {
        "logprob": [document.logprob for document in records],
        "words": [document.words for document in records],
        "bytes": [document.bytes for document in records],
        "tokens": [document.tokens for document in records],
    }
    return table_from([document.document for document in records], columns, sizes=columns["words"])


def combine(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Metrics from column sums, any leading shape; nan where undefined.

    Per word and byte of the original text, before detokenisation, as in lm-eval's `wikitext`; per token of the model's
    own vocabulary (an encoder-decoder's with sentinels and end tokens), which compares only between models that share
    it.
    """
    loss = -columns["logprob"]
    return {
        "word_perplexity": np.exp(ratio(loss, columns["words"])),
        "byte_perplexity": np.exp(ratio(loss, columns["bytes"])),
        "bits_per_byte": ratio(loss, columns["bytes"]) / math.log(2),
        "token_perplexity": np.exp(ratio(loss, columns["tokens"])),
    }


def overall(records: Sequence[DocumentScore]) -> Scores:
    """The metrics of these documents; None where undefined."""
    return {**estimate(table(records), combine), "n": len(records)}


def parts(records: Sequence[DocumentScore]) -> dict[str, list[DocumentScore]]:
    """None: running text has no parts."""
    return {}


def metrics(records: Sequence[DocumentScore]) -> Scores:
    """The metrics of all documents."""
    return overall(records)


def _score(doc: Mapping[str, Any], answers: Sequence[Any]) -> DocumentScore:
    logprob = float(answers[0])
    if not math.isfinite(logprob):
        raise ValueError(f"wikitext2, {name_of(doc)}: log-probability is {logprob}; score with dtype=float32")
    return DocumentScore(_name(doc), logprob, doc["words"], doc["bytes"], doc["tokens"])


def _name(doc: Mapping[str, Any]) -> str:
    """With how much of the document was asked for, so that samples of two sizes are not taken for the same items."""
    sample = f", {doc['tokens']} tokens in windows of {doc['window']}" if "window" in doc else ""
    return f"{doc['document']} {doc['title']}{sample}"


METRIC_LIST = metric_list(
    DocumentScore._make,
    overall,
    METRICS,
    higher_is_better=dict.fromkeys(METRICS[:-1], False),
)
