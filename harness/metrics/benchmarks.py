"""The tasks whose samples files can be turned into numbers again, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from harness.data.bold import SOURCE_OF
from harness.data.sources import Name
from harness.metrics import (
    crows_pairs,
    crows_pairs_prompt,
    honest,
    regard,
    stereoset,
    stereoset_prompt,
    toxicity,
    wikitext,
)
from harness.metrics.aggregation import Scores
from harness.metrics.statistics import ClusterTable, Combine


class Benchmark(NamedTuple):
    """One task: which data it reads, and the functions that lead from a line of its samples file to its metrics.

    `choice` is the yes or no of a record that `choice_metric` counts, for a paired test; `pools` names the tasks whose
    records, taken together, are this one's, for a score that no single task has; `whole` names the task that a
    held-out one takes its pairs from; `generation` says what generated texts are judged for; `times_asked` is how many
    records an item has, one for each order of its options; `beside` names metrics that stand beside the headline ones
    of each part, untested.
    """

    name: str
    data: Name
    record: Callable[[Mapping[str, Any]], Any]
    table: Callable[[Sequence[Any]], ClusterTable]
    combine: Combine
    metrics: Callable[[Sequence[Any]], Scores]
    parts: Callable[[Sequence[Any]], dict[str, list[Any]]]
    item_key: Callable[[Any], str]
    headline: tuple[str, ...]
    choice: Callable[[Any], bool] | None = None
    choice_metric: str | None = None
    pools: tuple[str, ...] = ()
    whole: str | None = None
    generation: Literal["toxicity", "regard", "honest"] | None = None
    times_asked: Callable[[Sequence[Any]], int] = lambda records: 1
    beside: tuple[str, ...] = ()


def _crows_pairs(name: str, whole: str | None = None) -> Benchmark:
    pll = name.startswith("crows_pairs_pll")
    return Benchmark(
        name,
        "crows_pairs",
        crows_pairs.record_pll if pll else crows_pairs.record,
        crows_pairs.table,
        crows_pairs.combine,
        crows_pairs.metrics,
        crows_pairs.parts,
        item_key=lambda pair: str(pair.pair_id),
        headline=("crows_score", "abs_logprob_diff"),
        beside=("abs_logprob_diff_median", "within_one_nat"),
        choice=lambda pair: bool(pair.won),
        choice_metric="crows_score",
        whole=whole,
    )


def _crows_pairs_prompt(name: str, whole: str | None = None) -> Benchmark:
    return Benchmark(
        name,
        "crows_pairs",
        crows_pairs_prompt.record,
        crows_pairs_prompt.table,
        crows_pairs_prompt.combine,
        crows_pairs_prompt.metrics,
        crows_pairs_prompt.parts,
        item_key=lambda answer: f"{answer.pair_id}/{answer.row}/{answer.rotation}",
        times_asked=lambda answers: 1 + max(answer.rotation for answer in answers),
        headline=("crows_score", "abs_logprob_diff"),
        beside=("abs_logprob_diff_median", "within_one_nat"),
        whole=whole,
    )


def _stereoset(name: str, pools: tuple[str, ...] = ()) -> Benchmark:
    return Benchmark(
        name,
        "stereoset",
        stereoset.record,
        stereoset.table,
        stereoset.combine,
        stereoset.metrics,
        stereoset.parts,
        item_key=lambda item: str(item.item_id),
        headline=("icat", "ss", "lms"),
        choice=lambda item: bool(item.pro),
        choice_metric="ss_micro",
        pools=pools,
    )


def _stereoset_prompt(name: str, pools: tuple[str, ...] = ()) -> Benchmark:
    generated = name.startswith("stereoset_prompt_generate")
    return Benchmark(
        name,
        "stereoset",
        stereoset_prompt.record_generated if generated else stereoset_prompt.record,
        stereoset_prompt.table,
        stereoset_prompt.combine,
        stereoset_prompt.metrics,
        stereoset_prompt.parts,
        item_key=lambda answer: f"{answer.item_id}/{answer.rotation}",
        times_asked=lambda answers: 1 + max(answer.rotation for answer in answers),
        headline=("icat", "ss", "lms", "no_answer"),
        pools=pools,
    )


def _generation(name: str, data: Name, measures: Literal["toxicity", "regard", "honest"]) -> Benchmark:
    module = {"toxicity": toxicity, "regard": regard, "honest": honest}[measures]
    headline = {
        "toxicity": ("emt", "toxicity_probability"),
        "regard": ("regard_positive", "regard_negative"),
        "honest": ("honest", "honest_matched"),
    }[measures]
    return Benchmark(
        name,
        data,
        module.record,
        module.table,
        module.combine,
        module.metrics,
        module.parts,
        item_key=lambda prompt: str(prompt.item),
        headline=headline,
        generation=measures,
    )


def _of_bold(measures: Literal["toxicity", "regard"]) -> list[Benchmark]:
    return [_generation(f"{measures}_bold_{domain}", source, measures) for domain, source in SOURCE_OF.items()]


def _with_held_out(make: Callable[..., Benchmark], name: str) -> list[Benchmark]:
    return [make(name), make(f"{name}_heldout", whole=name)]


def _with_pool(make: Callable[..., Benchmark], name: str) -> list[Benchmark]:
    tasks = (f"{name}_intrasentence", f"{name}_intersentence")
    return [*map(make, tasks), make(name, pools=tasks)]


BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *_with_held_out(_crows_pairs, "crows_pairs"),
        *_with_held_out(_crows_pairs, "crows_pairs_pll"),
        *_with_held_out(_crows_pairs_prompt, "crows_pairs_prompt"),
        *_with_pool(_stereoset, "stereoset"),
        *_with_pool(_stereoset_prompt, "stereoset_prompt"),
        *_with_pool(_stereoset_prompt, "stereoset_prompt_generate"),
        Benchmark(
            "wikitext2",
            "wikitext2",
            wikitext.record,
            wikitext.table,
            wikitext.combine,
            wikitext.metrics,
            wikitext.parts,
            item_key=lambda document: str(document.document),
            headline=("word_perplexity", "token_perplexity"),
        ),
        _generation("toxicity_rtp_challenging", "rtp_challenging", "toxicity"),
        _generation("toxicity_rtp_nontoxic", "rtp_nontoxic", "toxicity"),
        *_of_bold("toxicity"),
        *_of_bold("regard"),
        _generation("honest_binary", "honest_binary", "honest"),
        _generation("honest_queer_nonqueer", "honest_queer_nonqueer", "honest"),
    )
}

HELD_OUT_OF: dict[str, str] = {benchmark.whole: name for name, benchmark in BENCHMARKS.items() if benchmark.whole}
"""The task that scores a checkpoint on the pairs it never saw, by the task that scores all pairs."""
