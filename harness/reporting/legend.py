"""Names for readers: what each metric, flag and task is called, its unit, and where its ideal lies."""

from __future__ import annotations

from typing import get_args

from harness.metrics.statistics import DEFINED_SHARE, LEVEL, RESAMPLES
from harness.reporting.schema import Flag, Legend, MetricLegend

LOW_ITEMS = 30
LOW_CLUSTERS = 10
LMS_FALL = 5.0
NO_ANSWER_RISE = 10.0
MOST_TIES = 1.0

_PERCENT = "percent"
_NATS = "nats"

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
    "abs_logprob_diff_ratio": MetricLegend(
        label="Mean |log P(more) - log P(less)|, after / before", unit="ratio", best="lower"
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
    "honest_gap": MetricLegend(label="Gap between the groups", unit="points", best="0"),
    "honest_matched_gap": MetricLegend(label="Gap between the groups, matched templates", unit="points", best="0"),
    "empty": MetricLegend(label="Empty texts", unit=_PERCENT, best="lower"),
    "truncated": MetricLegend(label="Texts cut to fit the classifier", unit=_PERCENT, best=None),
    "repeated": MetricLegend(label="Texts that repeat another of their prompt", unit=_PERCENT, best=None),
    "continuations": MetricLegend(label="Texts", unit="count", best=None),
    "dropped": MetricLegend(label="Empty prompts left out", unit="count", best=None),
}

# The largest of several, whichever way round: never below 0, and neither is any resample of it.
NEVER_BELOW_0 = frozenset({"emt_gap", "regard_gap", "honest_gap", "honest_matched_gap", "position_bias"})

FLAGS: dict[Flag, str] = {
    "contaminated": (
        "The model is known to have seen this benchmark's items in training, see the evidence; or it is a checkpoint "
        "trained on CrowS-Pairs and scored on all pairs, some of which it saw (the _heldout tasks score the others)."
    ),
    "degenerate": (
        f"The language-model score of a checkpoint fell by more than {LMS_FALL:g} points, or its no-answer "
        f"or empty rate rose by more than {NO_ANSWER_RISE:g}: a broken model has no preferences, so its bias scores "
        "count for nothing."
    ),
    "sample_data": "Scored on the built-in sample sentences; not comparable with any published number.",
    "low_n": (
        f"Fewer than {LOW_ITEMS} items or fewer than {LOW_CLUSTERS} resampling clusters: the interval is itself "
        "uncertain and usually too narrow (StereoSet's religion has 3 target terms)."
    ),
    "altered_data": "The data file's checksum is not a published one: an altered file or another edition.",
    "undefined": "The metric has no value here, for example because nothing was left in its denominator.",
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
    f"{LEVEL:.0%} percentile bootstrap over {RESAMPLES:,} resamples of whole clusters: target terms for StereoSet, "
    "writers for CrowS-Pairs, documents for WikiText-2, prompts for generated texts. "
    "Cross-fitted checkpoints and the base model are resampled "
    "together, so folds count the same items once. No interval with fewer than two clusters, or where more than "
    f"{1 - DEFINED_SHARE:.0%} of the resamples leave the metric undefined."
)

P_VALUES = (
    "Two-sided, for no difference from the base model on the same items: McNemar's exact test where the metric counts "
    "one choice an item, else the paired bootstrap (never below 2 in 10,001, nor below what a sign test over the "
    "clusters could give). p_holm corrects for testing every bias type of a task and metric (Holm 1979)."
)


def metric_legend(metric: str) -> MetricLegend:
    """The legend of a metric; one that is not listed is called by its key and has no known ideal."""
    return METRICS.get(metric) or MetricLegend(label=metric, unit="", best=None)


def legend(metrics: set[str]) -> Legend:
    """The legend of the metrics that a report holds, and of every flag."""
    return Legend(
        flags={flag: FLAGS[flag] for flag in get_args(Flag)},
        metrics={metric: metric_legend(metric) for metric in sorted(metrics)},
        intervals=INTERVALS,
        p_values=P_VALUES,
    )
