"""A task of lm-eval's own becomes numbers again: the average that lm-eval took is found, and others are left out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.metrics.other_tasks import benchmark_of, pooled

Line = dict[str, Any]


def line(document: int, by: str = "none", **values: Any) -> Line:
    return {"doc_id": document, "filter": by, "metrics": list(values), **values}


def told(task: str, better: dict[str, bool], **values: float) -> dict[str, Any]:
    named = {key.replace("__", ","): value for key, value in values.items()}
    return {"results": {task: {"alias": task, **named}}, "higher_is_better": {task: better}}


def test_a_mean_of_shares_is_told_in_percent_and_a_perplexity_by_its_own_formula() -> None:
    lines = [line(0, acc=1.0, perplexity=-2.0), line(1, acc=0.0, perplexity=-4.0), line(2, acc=0.0, perplexity=-3.0)]
    results = told(
        "lambada",
        {"acc": True, "perplexity": False},
        acc__none=1 / 3,
        acc_stderr__none=0.3,
        perplexity__none=math.exp(3),
    )
    benchmark = benchmark_of("lambada", lines, results)
    assert benchmark is not None
    records = [benchmark.record(one) for one in lines]
    assert benchmark.metrics(records) == pytest.approx({"acc": 100 / 3, "perplexity": math.exp(3), "n": 3})
    assert benchmark.headline == ("acc",)
    assert benchmark.legend["acc"] == ("acc", "percent", "higher")
    assert benchmark.legend["perplexity"] == ("perplexity", "perplexity", "lower")


def test_a_perplexity_of_words_weighs_each_document_by_its_words() -> None:
    lines = [line(0, word_perplexity=[-30.0, 10]), line(1, word_perplexity=[-10.0, 10])]
    benchmark = benchmark_of("wikitext", lines, told("wikitext", {}, word_perplexity__none=math.exp(2)))
    assert benchmark is not None
    assert benchmark.metrics(list(map(benchmark.record, lines)))["word_perplexity"] == pytest.approx(math.exp(2))


def test_each_filter_has_a_number_of_its_own_and_a_document_counts_once() -> None:
    lines = [line(d, by, exact_match=float(by == "flexible" or d)) for d in (0, 1) for by in ("strict", "flexible")]
    results = told("gsm8k", {"exact_match": True}, exact_match__strict=0.5, exact_match__flexible=1.0)
    benchmark = benchmark_of("gsm8k", lines, results)
    assert benchmark is not None
    records = list(map(benchmark.record, lines))
    assert benchmark.metrics(records) == {"exact_match (strict)": 50, "exact_match (flexible)": 100, "n": 2}
    assert benchmark.times_asked(records) == 2
    assert len(benchmark.table(records).clusters) == 2


def test_a_number_that_is_no_average_of_its_documents_is_left_out() -> None:
    lines = [line(0, bleu=["a", "b"], mcc=1.0), line(1, bleu=["a", "b"], mcc=0.0)]
    assert benchmark_of("translate", lines, told("translate", {}, bleu__none=31.0, mcc__none=0.13)) is None


def test_a_group_counts_every_document_alike() -> None:
    parts = {"one": [1.0, 1.0, 1.0, 0.0], "two": [0.0]}
    lines = {task: [line(d, acc=value) for d, value in enumerate(values)] for task, values in parts.items()}
    mean = {task: sum(values) / len(values) for task, values in parts.items()}
    found = [benchmark_of(task, lines[task], told(task, {"acc": True}, acc__none=mean[task])) for task in parts]
    benchmarks = [one for one in found if one]
    group = pooled("both", benchmarks)
    assert group is not None
    assert group.pools == ("one", "two")
    records = [one.record(sample) for one in benchmarks for sample in lines[one.name]]
    assert group.metrics(records) == {"acc": 60, "n": 5}
