"""The tasks whose samples files can be turned into numbers again, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from harness.data.bbq import CATEGORIES, source_of
from harness.data.bold import SOURCE_OF
from harness.data.families import Family
from harness.data.plugins import given, leave_out
from harness.data.sources import SOURCES, Name
from harness.metrics import (
    bbq,
    bbq_prompt,
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
from harness.metrics.bbq_scores import parts
from harness.metrics.statistics import ClusterTable, Combine


class Metric(NamedTuple):
    """What reports call a metric, its unit, and where its ideal lies: a direction, 50 percent, 0, or nowhere."""

    label: str
    unit: str
    best: Literal["higher", "lower", "50", "0"] | None


class Benchmark(NamedTuple):
    """One task: which data it reads, and the functions that lead from a line of its samples file to its metrics.

    `choice` is the yes or no of a record that `choice_metric` counts, for a paired test; `pools` names the tasks whose
    records, taken together, are this one's, for a score that no single task has; `whole` names the task that a
    held-out one takes its pairs from; `generation` says what generated texts are judged for; `times_asked` is how many
    records an item has, one for each order of its options; `beside` names metrics that stand beside the headline ones
    of each part, untested.

    `title` is the task's heading in reports, `legend` tells of the metrics that no other benchmark has, and `families`
    are the kinds of models that can be asked, where `harness.data.families.TASKS_OF` does not name the task.
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
    title: str = ""
    legend: Mapping[str, Metric] = MappingProxyType({})
    families: tuple[Family, ...] = ()


class Plugin(NamedTuple):
    """What a package adds by an entry point in the group `stereoscope.benchmarks`: its task YAMLs and how they count.

    Each benchmark's `data` has been registered (`harness.data.sources.register`) by the time the entry point is loaded.
    """

    tasks: Path
    benchmarks: Sequence[Benchmark]


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


def _bbq(form: str) -> list[Benchmark]:
    """A task a category, and their questions pooled; `form` is "", "_choice" or "_generate"."""
    module = bbq_prompt if form else bbq
    generated = form == "_generate"
    told = {"": "likelihood of the words", "_choice": "likelihood of the letter", "_generate": "generated answers"}[
        form
    ]
    tasks = {f"bbq{form}_{category.lower()}": category for category in CATEGORIES}
    categories = [
        Benchmark(
            name,
            source_of(category),
            bbq_prompt.record_generated if generated else module.record,
            module.table,
            bbq_prompt.combine_generated if generated else module.combine,
            bbq_prompt.metrics_generated if generated else module.metrics,
            parts,
            item_key=lambda answer: f"{answer.key}/{answer.rotation}",
            times_asked=lambda answers: 1 + max(answer.rotation for answer in answers),
            headline=("s_amb", "s_dis", "accuracy_ambig", "accuracy_disambig", *(["no_answer"] if generated else [])),
            beside=("accuracy_gap", "unknown_ambig", "unknown_disambig", "left_out"),
            title=f"BBQ {category.replace('_', ' ')}, {told}",
        )
        for name, category in tasks.items()
    ]
    return [*categories, categories[0]._replace(name=f"bbq{form}", pools=tuple(tasks), title=f"BBQ, {told}")]


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


_OURS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *_with_held_out(_crows_pairs, "crows_pairs"),
        *_with_held_out(_crows_pairs, "crows_pairs_pll"),
        *_with_held_out(_crows_pairs_prompt, "crows_pairs_prompt"),
        *_with_pool(_stereoset, "stereoset"),
        *_with_pool(_stereoset_prompt, "stereoset_prompt"),
        *_with_pool(_stereoset_prompt, "stereoset_prompt_generate"),
        *(one for form in ("", "_choice", "_generate") for one in _bbq(form)),
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

HELD_OUT_OF: dict[str, str] = {benchmark.whole: name for name, benchmark in _OURS.items() if benchmark.whole}
"""The task that scores a checkpoint on the pairs it never saw, by the task that scores all pairs."""


class _Benchmarks(Mapping[str, Benchmark]):
    """Those of this project, then those of plugins, which are looked for when somebody asks."""

    def __getitem__(self, name: str) -> Benchmark:
        return _OURS[name] if name in _OURS else _added()[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*_OURS, *_added()))

    def __len__(self) -> int:
        return len(_OURS) + len(_added())


BENCHMARKS: Mapping[str, Benchmark] = _Benchmarks()


@cache
def plugins() -> Mapping[str, Plugin]:
    """The sound plugins by package; a broken one is named in a warning and left out."""
    sound: dict[str, Plugin] = {}
    taken = set(_OURS)
    for label, plugin in given().items():
        if problem := _problem(plugin, taken):
            leave_out(label, problem)
        elif isinstance(plugin, Plugin):
            sound[label] = plugin
            taken |= {benchmark.name for benchmark in plugin.benchmarks}
    return sound


@cache
def _added() -> Mapping[str, Benchmark]:
    return {benchmark.name: benchmark for plugin in plugins().values() for benchmark in plugin.benchmarks}


def _problem(plugin: object, taken: set[str]) -> str | None:
    if not isinstance(plugin, Plugin):
        return f"expected a harness.metrics.benchmarks.Plugin or a function that returns one, found {plugin!r}"
    if not plugin.tasks.is_dir():
        return f"its folder of task YAMLs is not there: {plugin.tasks}"
    for benchmark in plugin.benchmarks:
        if not isinstance(benchmark, Benchmark):
            return f"expected a harness.metrics.benchmarks.Benchmark, found {benchmark!r}"
        if benchmark.name in taken:
            return f"a benchmark called {benchmark.name!r} is there already"
        if benchmark.data not in SOURCES:
            return f"{benchmark.name} reads {benchmark.data!r}, which no harness.data.sources.register call has named"
    return None
