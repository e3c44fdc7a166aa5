"""Names for readers: what each metric, flag and task is called, its unit, and where its ideal lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from harness.metrics.benchmarks import BENCHMARKS, Metric
from harness.metrics.intervals import CLUSTERS_THAT_AGREE, LEVEL, SIGNIFICANT
from harness.reporting.schema import Legend, MetricLegend
from harness.reporting.schema_types import Flag

LOW_ITEMS = 30
LOW_CLUSTERS = 10
MOST_TIES = 1.0

_PERCENT = "percent"
_NATS = "nats"


def _bbq(end: str, told: str) -> dict[str, MetricLegend]:
    """BBQ's scores; `end` is behind the metric, `told` behind its label."""
    return {
        f"accuracy_ambig{end}": MetricLegend(label=f"Accuracy, ambiguous{told}", unit=_PERCENT, best="higher"),
        f"accuracy_disambig{end}": MetricLegend(label=f"Accuracy, disambiguated{told}", unit=_PERCENT, best="higher"),
        f"s_dis{end}": MetricLegend(label=f"Bias score, disambiguated{told}", unit=_PERCENT, best="0"),
        f"s_amb{end}": MetricLegend(label=f"Bias score, ambiguous{told}", unit=_PERCENT, best="0"),
        f"accuracy_gap{end}": MetricLegend(
            label=f"Accuracy along - against the stereotype{told}", unit="points", best="0"
        ),
        f"unknown_ambig{end}": MetricLegend(label=f'Answers "unknown", ambiguous{told}', unit=_PERCENT, best=None),
        f"unknown_disambig{end}": MetricLegend(
            label=f'Answers "unknown", disambiguated{told}', unit=_PERCENT, best="lower"
        ),
    }


METRICS: dict[str, MetricLegend] = {
    "lms": MetricLegend(label="Language-model score", unit=_PERCENT, best="higher"),
    "ss": MetricLegend(label="Stereotype score", unit=_PERCENT, best="50"),
    "icat": MetricLegend(label="Idealized CAT score", unit=_PERCENT, best="higher"),
    "lms_micro": MetricLegend(label="Language-model score by item", unit=_PERCENT, best="higher"),
    "ss_micro": MetricLegend(label="Stereotype score by item", unit=_PERCENT, best="50"),
    "icat_micro": MetricLegend(label="Idealized CAT score by item", unit=_PERCENT, best="higher"),
    "no_answer": MetricLegend(label="Items without an answer", unit=_PERCENT, best="lower"),
    "position_bias": MetricLegend(label="Position bias", unit=_PERCENT, best="lower"),
    "position_share": MetricLegend(label="Answers at a position", unit=_PERCENT, best=None),
    "order_flips": MetricLegend(label="Answers that change with the order", unit=_PERCENT, best="lower"),
    "crows_score": MetricLegend(label="CrowS score", unit=_PERCENT, best="50"),
    "crows_score_norm": MetricLegend(label="CrowS score, per token", unit=_PERCENT, best="50"),
    "stereo_score": MetricLegend(label="CrowS score of stereo pairs", unit=_PERCENT, best="50"),
    "antistereo_score": MetricLegend(label="CrowS score of antistereo pairs", unit=_PERCENT, best="50"),
    "ties": MetricLegend(label="Ties", unit=_PERCENT, best=None),
    "abs_logprob_diff": MetricLegend(label="Mean |log P(more) - log P(less)|", unit=_NATS, best="0"),
    "abs_logprob_diff_median": MetricLegend(label="Median |log P(more) - log P(less)|", unit=_NATS, best="0"),
    "crows_score_seen_minus_unseen": MetricLegend(
        label="CrowS score, words exchanged in training - words not", unit="points", best=None
    ),
    "abs_logprob_diff_seen_minus_unseen": MetricLegend(
        label="Mean |log P(more) - log P(less)|, words exchanged in training - words not", unit=_NATS, best=None
    ),
    "logprob_diff": MetricLegend(label="Mean log P(more) - log P(less)", unit=_NATS, best="0"),
    "within_one_nat": MetricLegend(label="Pairs within 1 nat", unit=_PERCENT, best="higher"),
    "word_perplexity": MetricLegend(label="Word perplexity", unit="perplexity", best="lower"),
    "byte_perplexity": MetricLegend(label="Byte perplexity", unit="perplexity", best="lower"),
    "bits_per_byte": MetricLegend(label="Bits per byte", unit="bits", best="lower"),
    "token_perplexity": MetricLegend(label="Token perplexity", unit="perplexity", best="lower"),
    "emt": MetricLegend(label="Expected maximum toxicity", unit=_PERCENT, best="lower"),
    "toxicity_probability": MetricLegend(label="Prompts with a toxic text", unit=_PERCENT, best="lower"),
    "toxicity_mean": MetricLegend(label="Mean toxicity", unit=_PERCENT, best="lower"),
    "toxic_fraction": MetricLegend(label="Toxic texts", unit=_PERCENT, best="lower"),
    "emt_gap": MetricLegend(label="Largest gap between groups, maximum toxicity", unit="points", best="0"),
    "regard_positive": MetricLegend(label="Positive regard", unit=_PERCENT, best=None),
    "regard_negative": MetricLegend(label="Negative regard", unit=_PERCENT, best="lower"),
    "regard_neutral": MetricLegend(label="Neutral regard", unit=_PERCENT, best=None),
    "regard_other": MetricLegend(label="Other regard", unit=_PERCENT, best=None),
    "regard_gap": MetricLegend(label="Largest gap between groups, positive - negative regard", unit="points", best="0"),
    "honest": MetricLegend(label="Hurtful completions (HONEST)", unit=_PERCENT, best="lower"),
    "honest_matched": MetricLegend(label="Hurtful completions, matched templates", unit=_PERCENT, best="lower"),
    "honest_category": MetricLegend(label="Completions with words of a category", unit=_PERCENT, best="lower"),
    **_bbq("", ""),
    **_bbq("_sum", ", by whole answer"),
    "left_out": MetricLegend(label="Questions whose biased answer is not known", unit=_PERCENT, best=None),
    "honest_gap": MetricLegend(label="Gap between the groups", unit="points", best="0"),
    "honest_matched_gap": MetricLegend(label="Gap between the groups, matched templates", unit="points", best="0"),
    "empty": MetricLegend(label="Empty texts", unit=_PERCENT, best="lower"),
    "truncated": MetricLegend(label="Texts cut to fit the classifier", unit=_PERCENT, best=None),
    "repeated": MetricLegend(label="Texts that repeat another of their prompt", unit=_PERCENT, best=None),
    "continuations": MetricLegend(label="Texts", unit="count", best=None),
    "dropped": MetricLegend(label="Empty prompts left out", unit="count", best=None),
}

# The largest of several differences, whichever way round: chance alone puts it above 0.
NEVER_BELOW_0 = frozenset({"emt_gap", "regard_gap", "honest_gap", "honest_matched_gap", "position_bias"})

FLAGS: dict[Flag, str] = {
    "contaminated": (
        "The model is known to have seen this benchmark's items in training, see the evidence; or it is a checkpoint "
        "trained on CrowS-Pairs and scored on all pairs, some of which it saw (the _heldout tasks score the others)."
    ),
    "broken": (
        "The step lost so much of its abilities that its bias scores count for nothing: a broken model has no "
        'preferences. The bounds stand under "What counts as kept".'
    ),
    "at_random": (
        "The answers to this prompt are those of chance: LMS near 66.7, and another order of the options gives another "
        "answer. Such a model has no preference to show or to lose."
    ),
    "sample_data": "Scored on the built-in sample sentences; not comparable with any published number.",
    "low_n": (
        f"Fewer than {LOW_ITEMS} items or fewer than {LOW_CLUSTERS} clusters: the interval is wide, and how wide is "
        "itself uncertain (StereoSet's religion has 3 target terms)."
    ),
    "altered_data": "The data file's checksum is not a published one: an altered file or another edition.",
    "biased_near_50": (
        "The stereotype score may lie on either side of 50. ICAT counts its distance from 50, so that noise can only "
        "lower it there: the value is too low on average, by up to a few points; its interval allows for that."
    ),
    "undefined": "The metric has no value here, for example because nothing was left in its denominator.",
    "conditions_differ": (
        "The base model and this step, or its folds, were not scored alike: precision, package versions, the task's "
        "definition or the words of its prompts differ (see the stage's conditions), and a change may come from that."
    ),
    "limited": "Not all items of the task were scored (`n` of `of`): a limit was set, or documents were picked.",
    "unsealed": (
        "The samples, or the base model's, come from a results file without their digest, written by an earlier "
        "version or by plain lm_eval: whether they are whole and unaltered was not checked."
    ),
    "ties": (
        f"More than {MOST_TIES:g}% of what is compared scores exactly the same. A tie counts as no stereotype, so many "
        "of them pull the score down; half precision makes them, and so does a model that does not look at the text."
    ),
    "sensitive": (
        "On a sample of items another precision, start token or wording of the question moves this score by more than "
        "half the width of its interval (`stereoscope eval --check-sensitivity`): it says as much of that choice as of "
        "the model."
    ),
}

INTERVALS = (
    f"{LEVEL:.0%}, from leaving out one cluster at a time (cluster jackknife, t quantile): target terms for StereoSet, "
    "writers for CrowS-Pairs, templates for BBQ, documents for WikiText-2, prompts for generated texts. The base "
    "model and all training runs leave out the same clusters, so what they share cancels and runs do not count the "
    "same items twice. Where a step has several training runs (folds, seeds), the spread between them is part of the "
    "interval, which then covers items and training; with a single run it covers the choice of items alone, and "
    "nothing here can tell what another run would have given. No interval with one cluster, where one cluster alone "
    f"defines the metric, or where fewer than {CLUSTERS_THAT_AGREE} clusters agree exactly."
)

P_VALUES = (
    "Two-sided, for no difference from the base model on the same items, and from the interval's own procedure: below "
    f"{SIGNIFICANT} exactly where the interval excludes 0. A score whose ideal is 50 or 0 also has the change of its "
    "distance from the ideal, with an interval and p value of its own: from 57 to 44 is no gain. p_holm corrects for "
    "testing every bias type of a task and metric (Holm 1979)."
)


def metric_legend(metric: str) -> MetricLegend:
    """The legend of a metric; one that neither stands here nor at a benchmark has its key for a name and no ideal."""
    if metric in METRICS:
        return METRICS[metric]
    told = (benchmark.legend[metric] for benchmark in BENCHMARKS.values() if metric in benchmark.legend)
    return MetricLegend(**next(told, Metric(metric, "", None))._asdict())


def legend(metrics: set[str], named: Mapping[str, Metric]) -> Legend:
    """The legend of the metrics that a report holds, and of every flag; `named` are those that benchmarks tell of."""
    return Legend(
        flags={flag: FLAGS[flag] for flag in get_args(Flag)},
        metrics={
            metric: MetricLegend(**named[metric]._asdict()) if metric in named else metric_legend(metric)
            for metric in sorted(metrics)
        },
        intervals=INTERVALS,
        p_values=P_VALUES,
    )
