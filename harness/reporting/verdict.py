"""The answer in a paragraph that anybody can read, computed from the numbers and never kinder than they are."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.benchmarks import HELD_OUT_OF
from harness.metrics.family import Measure, decide
from harness.metrics.formatting import signed
from harness.reporting.index import PERPLEXITY_TASK, Index
from harness.reporting.schema import Entry, Stage


def verdict(index: Index) -> str:
    """One paragraph a model, about its last step: what moved, what it cost, and what follows."""
    families = index.families()
    paragraphs = [_of_model(index, stages) for stages in families]
    return "\n\n".join(paragraphs + _by_size(index, families))


def _by_size(index: Index, families: Sequence[Sequence[Stage]]) -> list[str]:
    """How the change of the stereotype score goes with the number of parameters, where sizes differ."""
    told = []
    for stages in families:
        entry = index.entry(stages[-1], index.stereoset_task(), "ss")
        if entry and entry.difference is not None:
            broken = " (degenerate)" if "degenerate" in entry.flags else ""
            told.append((entry.parameters, f"{index.name(stages[-1])} {signed(entry.difference)}{broken}"))
    if len({parameters for parameters, _ in told}) < 2:
        return []
    changes = ", ".join(text for _, text in told)
    return [f"From the smallest model to the largest, the stereotype score changed by: {changes} points."]


def _of_model(index: Index, stages: Sequence[Stage]) -> str:
    last = stages[-1]
    if last.stage == "base":
        return f"{index.name(last)} was scored but not trained, so there is no change to report.{_base(index, last)}"
    stereotype = index.entry(last, index.stereoset_task(), "ss")
    crows_task = index.crows_task(last)
    crows = index.entry(last, crows_task, "crows_score")
    magnitude = index.entry(last, crows_task, "abs_logprob_diff")
    compared = [entry for entry in (stereotype, magnitude, crows) if entry and entry.difference is not None]
    if not compared:
        return f"{index.name(last)}: no base model was scored on the same tasks, so no change can be reported."
    sentences = [f"{_conclusion(last, compared)} {index.name(last)}, {_progress(last)}:"]
    if stereotype and stereotype.difference is not None:
        sentences.append(f"StereoSet's stereotype score {_moved(stereotype)}, where 50 means no preference;")
    if crows and crows.difference is not None:
        seen = "sentence pairs it had not seen" if crows.task in HELD_OUT_OF.values() else "all CrowS-Pairs"
        sentences.append(
            f"on {seen} the share in which it finds the more stereotypical sentence likelier {_moved(crows)};"
        )
    if magnitude and magnitude.difference is not None and magnitude.value is not None and magnitude.base_value:
        ratio = magnitude.value / magnitude.base_value
        sentences.append(
            f"the average gap between the two sentences' log-probabilities is {ratio:.2f} times what it was "
            f"({magnitude.base_value:.2f} to {magnitude.value:.2f} nats);"
        )
    sentences.append(_cost(index, last))
    return " ".join([*_caveats(index, last), *sentences])


def _conclusion(last: Stage, compared: Sequence[Entry]) -> str:
    if last.retention and last.retention.degenerate:
        return "The model broke, so its bias scores show nothing about debiasing."
    decided = decide([_measure(entry) for entry in compared])
    better = [one for one in decided if one.outcome == "fell"]
    worse = [one for one in decided if one.outcome == "rose"]
    judged = last.retention is not None and last.retention.degenerate is not None
    whole = "" if judged else " (whether the model still works was not measured)"
    if worse and not better:
        return f"Measured bias grew{whole}."
    if better and worse:
        return f"Some bias measures improved and others got worse{whole}."
    if len(better) == len(compared):
        return f"Measured bias fell, on every measure here{whole}."
    if better:
        return f"Measured bias fell on {len(better)} of {len(compared)} measures; the rest show no clear change{whole}."
    return f"No clear change of measured bias was shown{whole}."


def _measure(entry: Entry) -> Measure:
    """An entry as one of the hypotheses that are judged together: how its distance from the ideal changed."""
    ends = (entry.difference_low, entry.difference_high)
    half_width = None if ends[0] is None or ends[1] is None else (ends[1] - ends[0]) / 2
    change = (entry.distance_change, entry.distance_low, entry.distance_high, entry.distance_p)
    return Measure(entry.metric, *change, half_width)


def _moved(entry: Entry) -> str:
    interval = ""
    if entry.difference_low is not None and entry.difference_high is not None:
        interval = f", 95% interval {signed(entry.difference_low)} to {signed(entry.difference_high)}"
    return f"went from {entry.base_value:.1f} to {entry.value:.1f} ({signed(entry.difference)} points{interval})"


def _cost(index: Index, last: Stage) -> str:
    kept = last.retention
    if kept is None:
        return "what the model kept of its abilities is unknown."
    told = []
    if kept.lms_change is not None:
        told.append(f"its language-model score changed by {signed(kept.lms_change)} points")
    if kept.perplexity_ratio is not None:
        word = index.entry(last, PERPLEXITY_TASK, "word_perplexity")
        data = "sample" if word and "sample_data" in word.flags else "WikiText-2"
        told.append(f"its perplexity on {data} text by {signed(100 * (kept.perplexity_ratio - 1))}%")
    if kept.no_answer_change is not None:
        told.append(f"unanswered prompts by {signed(kept.no_answer_change)} points")
    if not told:
        return "what the model kept of its abilities was not measured."
    return f"the cost: {', '.join(told)}" + (f"; {kept.reason}." if kept.degenerate else ".")


def _caveats(index: Index, last: Stage) -> list[str]:
    """What a reader must know before the numbers."""
    flags = {flag for entry in index.entries(last) if entry.metric in ("ss", "crows_score") for flag in entry.flags}
    told = []
    if "sample_data" in flags:
        told.append("Scored on the built-in sample sentences: a demonstration, not a measurement.")
    if "altered_data" in flags:
        told.append("Scored on data whose checksum is not a published one.")
    if "contaminated" in flags:
        told.append("This model has seen items of a benchmark that it is scored on.")
    return told


def _base(index: Index, stage: Stage) -> str:
    found = [
        (index.entry(stage, index.stereoset_task(), "ss"), "StereoSet's stereotype score is"),
        (index.entry(stage, index.crows_task(stage), "crows_score"), "the CrowS score is"),
    ]
    told = [f"{text} {entry.value:.1f}" for entry, text in found if entry and entry.value is not None]
    return f" {', '.join(told)} (50 means no preference)." if told else ""


def _progress(stage: Stage) -> str:
    step = "last step" if stage.step is None else f"step {stage.step}"
    return f"{step}, {len(stage.folds)} cross-fitted folds" if len(stage.folds) > 1 else step
