"""Which metrics are percentages, magnitudes, or scores with a sign: the scale on which an interval is symmetric."""

from __future__ import annotations

from harness.metrics.intervals import Scale

PERCENTAGES = frozenset(
    {
        *("lms", "ss", "lms_micro", "ss_micro", "no_answer", "position_share", "order_flips"),
        *("crows_score", "crows_score_norm", "stereo_score", "antistereo_score", "ties", "within_one_nat"),
        *("emt", "toxicity_probability", "toxicity_mean", "toxic_fraction", "empty", "truncated", "repeated"),
        *("regard_positive", "regard_negative", "regard_neutral", "regard_other"),
        *("honest", "honest_matched", "honest_category"),
        *("accuracy_ambig", "accuracy_disambig", "unknown_ambig", "unknown_disambig", "left_out"),
        *("accuracy_ambig_sum", "accuracy_disambig_sum", "unknown_ambig_sum", "unknown_disambig_sum"),
        *("acc", "acc_norm", "acc_mutual_info", "exact_match", "em"),  # of lm-eval's own tasks, in percent here
    }
)
MAGNITUDES = frozenset(
    {
        *("abs_logprob_diff", "perplexity", "word_perplexity", "byte_perplexity", "token_perplexity"),
        "bits_per_byte",
    }
)
"""Above 0 and compared as after / before."""
SIGNED = frozenset({"s_dis", "s_amb", "accuracy_gap", "s_dis_sum", "s_amb_sum", "accuracy_gap_sum"})
"""From -100 to 100."""


def scale_of(metric: str) -> Scale:
    """Where the interval of a metric's value is symmetric; a metric that is not listed is taken as it is."""
    name = metric.partition("/")[0].partition(" (")[0]  # "acc/religion"; "exact_match (strict-match)"
    scales: tuple[tuple[Scale, frozenset[str]], ...] = (("logit", PERCENTAGES), ("log", MAGNITUDES), ("signed", SIGNED))
    return next((scale for scale, names in scales if name in names), "linear")
