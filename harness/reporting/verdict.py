"""The answer in a paragraph that anybody can read, computed from the numbers and never kinder than they are.

What is tested is the distance from the ideal, over a family of measures that is fixed before looking; whether a fall
may be called one is decided by what the model kept; and noise that costs as much must have done less.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.metrics.family import Measure, decide
from harness.metrics.formatting import signed
from harness.metrics.intervals import SIGNIFICANT
from harness.metrics.statistics import holm
from harness.reporting.formatting import counted, progress, task_name
from harness.reporting.index import Index
from harness.reporting.legend import metric_legend
from harness.reporting.retention import answers_at_random
from harness.reporting.schema import Check, Entry, Headline, Judgement, Stage
from harness.reporting.schema_types import Word


def judgements(index: Index) -> list[Judgement]:
    """One a model, about its last step: what moved, what it cost, and what follows."""
    return [_of_model(index, stages) for stages in index.families()]


def verdict(judged: Sequence[Judgement], compared: Sequence[str], sized: Sequence[str]) -> str:
    """The judgements' paragraphs, which methods come first, and how the change goes with size where sizes differ.

    Args:
        compared: a paragraph for each model whose methods are compared.
        sized: sentences about size.
    """
    paragraphs = [*(judgement.text for judgement in judged), *compared, " ".join(sized)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _of_model(index: Index, stages: Sequence[Stage]) -> Judgement:
    last = stages[-1]
    name = index.name(last)
    if last.stage == "base":
        return _judgement(
            last,
            "not trained",
            [],
            f"{name} was scored but not trained, so there is no change to report.{_base(index, last)}",
        )
    entries = headline_entries(index, last)
    family = _headlines(entries)
    if not family:
        text = f"{name}: no base model was scored on the same items, so no change can be reported."
        return _judgement(last, "not compared", [], text)
    seen = [entry for entry in entries if learned(index, stages[0], entry)]
    word = _word(last, family, {_key(entry) for entry in seen})
    sentences = [
        *_caveats(index, last, entries),
        f"{name}, {_progress(last)}: {_conclusion(word, last, family, seen)}",
        *[_moved(entry, headline) for entry, headline in zip(entries, family, strict=True)],
        _cost(last),
        *_placebo(index, stages, word, family),
        *_training(last, entries),
    ]
    return _judgement(last, word, family, " ".join(sentences))


def _judgement(stage: Stage, word: Word, family: list[Headline], text: str) -> Judgement:
    return Judgement(
        run=stage.run,
        model=stage.model,
        method=stage.method,
        step=stage.step,
        word=word,
        retention=stage.retention.state if stage.retention else None,
        family=family,
        text=text,
    )


def learned(index: Index, base: Stage, entry: Entry) -> bool:
    """Whether the step was trained on the items of an entry; what its base model had seen is no gain of the step's."""
    before = index.entry(base, entry.task, entry.metric)
    return "contaminated" in entry.flags and not (before and "contaminated" in before.flags)


def headline_entries(index: Index, stage: Stage) -> list[Entry]:
    """The measures that the verdict is about: chosen by what was scored, never by what came out."""
    crows = index.crows_task(stage)
    places = ((index.stereoset_task(), "ss"), (crows, "crows_score"), (crows, "abs_logprob_diff"))
    found = (index.entry(stage, task, metric) for task, metric in places)
    return [entry for entry in found if entry and entry.distance_change is not None]


def _headlines(entries: Sequence[Entry]) -> list[Headline]:
    decided = decide([_measure(entry) for entry in entries])
    beyond = holm({_key(entry): entry.beyond_p for entry in entries if entry.beyond_p is not None})
    return [
        Headline(
            task=entry.task,
            metric=entry.metric,
            moved=decision.outcome,
            beyond_noise=_is_beyond(entry, beyond),
            distance_change=entry.distance_change,
            low=entry.distance_low,
            high=entry.distance_high,
            p_holm=decision.p_holm,
            smallest=decision.smallest,
        )
        for entry, decision in zip(entries, decided, strict=True)
    ]


def _measure(entry: Entry) -> Measure:
    # Near the ideal the distance's interval is the wider one: either side of it is possible there.
    ends = ((entry.difference_low, entry.difference_high), (entry.distance_low, entry.distance_high))
    widths = [(high - low) / 2 for low, high in ends if low is not None and high is not None]
    return Measure(
        _key(entry),
        entry.distance_change,
        entry.distance_low,
        entry.distance_high,
        entry.distance_p,
        max(widths, default=None),
    )


def _is_beyond(entry: Entry, beyond: Mapping[str, float]) -> bool | None:
    """Whether the step came nearer to the ideal than its placebo did, after Holm's correction; None without one."""
    if entry.beyond_change is None or _key(entry) not in beyond:
        return None
    return entry.beyond_change < 0 and beyond[_key(entry)] < SIGNIFICANT


def _key(entry: Entry | Headline) -> str:
    return f"{entry.task}/{entry.metric}"


def _word(last: Stage, family: Sequence[Headline], seen: Collection[str]) -> Word:
    """The one word: retention first, then direction, then whether the items were known and whether noise does as much.

    Args:
        seen: keys of the measures whose items the model has seen in training.
    """
    state = last.retention.state if last.retention else "unmeasured"
    if state == "broken":
        return "broken"
    fell = [one for one in family if one.moved == "fell"]
    rose = [one for one in family if one.moved == "rose"]
    if rose:
        return "mixed" if fell else "rose"
    if not fell:
        return "not shown"
    if state == "unmeasured":
        return "unmeasured"
    if (last.retention and last.retention.suspect) or all(_key(one) in seen for one in fell):
        return "suspect"
    if all(one.beyond_noise is False for one in fell):
        return "no more than noise"
    return "fell" if state == "kept" else "fell, at a price"


def _conclusion(word: Word, last: Stage, family: Sequence[Headline], seen: Sequence[Entry]) -> str:
    fell = sum(one.moved == "fell" for one in family)
    where = (
        "on every measure here"
        if fell == len(family)
        else f"on {fell} of {len(family)} measures here, the rest show no clear change"
    )
    reason = last.retention.reason if last.retention else ""
    suspect = (last.retention.suspect if last.retention else None) or (
        f"it was trained on items of {', '.join(dict.fromkeys(task_name(entry.task) for entry in seen))}"
    )
    return {
        "broken": f"the model broke ({reason}), so its bias scores show nothing about debiasing.",
        "unmeasured": "bias scores are nearer to their ideals, but whether the model still works was not measured "
        f"({reason}), so nothing is called a fall of bias.",
        "suspect": f"bias scores came nearer to their ideals {where}, but {suspect}: it knows the sentences that it "
        "was tested on, so nothing is called a fall of bias.",
        "no more than noise": f"bias scores came nearer to their ideals {where}, but no further than under random "
        "noise that costs as much perplexity: this is damage, not mitigation.",
        "fell": f"measured bias fell {where}, and the model kept its abilities.",
        "fell, at a price": f"measured bias fell {where}, at a price: {reason}.",
        "rose": "measured bias grew.",
        "mixed": "some measures of bias came nearer to their ideals and others moved away.",
        "not shown": "no change of measured bias was shown.",
    }[word]


def _moved(entry: Entry, headline: Headline) -> str:
    nats = entry.metric == "abs_logprob_diff"
    digits, unit = (2, "nats") if nats else (1, "points")
    what = {
        "ss": f"The stereotype score of {task_name(entry.task)}",
        "crows_score": f"The CrowS score of {task_name(entry.task)}",
        "abs_logprob_diff": "The mean gap between the two sentences' log-probabilities",
    }[entry.metric]
    ends = (
        ""
        if headline.low is None or headline.high is None
        else f", 95% interval {signed(headline.low, digits)} to {signed(headline.high, digits)}"
    )
    ideal = "0" if nats else "50"
    told = (
        f"{what} went from {entry.base_value:.{digits}f} to {entry.value:.{digits}f} on {counted(entry)} items: its "
        f"distance from {ideal} changed by {signed(headline.distance_change, digits)} {unit}{ends}"
    )
    if headline.moved == "not shown" and headline.smallest is not None:
        told += f" (nothing below {headline.smallest:.{digits}f} could have been shown)"
    return f"{told}."


def _cost(last: Stage) -> str:
    if last.retention is None or not last.retention.checks:
        return "What the model kept of its abilities was not measured."
    kept = last.retention
    shown = [
        check for check in kept.checks if check.metric != "lms" or check.task == kept.lms_task or check.state != "kept"
    ]
    return f"What it kept: {', '.join(map(_check, shown))}."


def _check(check: Check) -> str:
    what = f"{metric_legend(check.metric).label} ({task_name(check.task)})"
    if check.is_ratio:
        ends = "" if check.low is None or check.high is None else f" ({_percent(check.low)} to {_percent(check.high)})"
        return f"{what} {_percent(check.change)}{ends}"
    ends = "" if check.low is None or check.high is None else f" ({signed(check.low)} to {signed(check.high)})"
    return f"{what} {signed(check.change)} points{ends}"


def _percent(ratio: float) -> str:
    return f"{signed(100 * (ratio - 1))}%"


def _placebo(index: Index, stages: Sequence[Stage], word: Word, family: Sequence[Headline]) -> list[str]:
    """What noise of the same cost did, wherever a fall is claimed or denied for its sake."""
    if word not in ("fell", "fell, at a price", "no more than noise"):
        return []
    fell = [one for one in family if one.moved == "fell"]
    if all(one.beyond_noise is None for one in fell):
        return ["No placebo was scored, so whether random noise of the same cost would do as much is not known."]
    beyond = sum(one.beyond_noise is True for one in fell)
    if word == "no more than noise":
        return []
    return [f"On {beyond} of the {len(fell)} the fall goes beyond that of random noise which costs as much perplexity."]


def _training(last: Stage, entries: Sequence[Entry]) -> list[str]:
    """What the intervals cover, since a fall in one run may be that run's luck."""
    if any(entry.covers == "items and training" for entry in entries):
        return ["Intervals cover the choice of items and the spread between training runs."]
    if last.step is None and last.method is not None:
        return ["Nothing was trained: the intervals cover the choice of items."]
    return ["One training run: the intervals cover the choice of items only, and another run may differ."]


def _caveats(index: Index, last: Stage, entries: Sequence[Entry]) -> list[str]:
    """What a reader must know before the numbers."""
    flags = {flag for entry in entries for flag in entry.flags}
    told = [text for flag, text in CAVEATS.items() if flag in flags]
    if any(answers_at_random(index.entries(last), entry.task) for entry in entries):
        told.append("Its answers to the prompts are those of chance, which have no preference to lose.")
    return told


CAVEATS: Mapping[str, str] = {
    "sample_data": "Scored on the built-in sample sentences: a demonstration, not a measurement.",
    "altered_data": "Scored on data whose checksum is not a published one.",
    "contaminated": "This model has seen items of a benchmark that it is scored on.",
    "limited": "Scored on a part of the items only.",
    "conditions_differ": "Base and step were scored under conditions that differ, listed below.",
    "unsealed": "Its samples carry no digests, so nobody can tell whether they are what was scored.",
    "ties": "More than 1% of the comparisons are ties, which low precision makes; ties count as no stereotype.",
    "sensitive": "A score here moves by more than its interval with the precision, the start token or the wording.",
}


def _base(index: Index, stage: Stage) -> str:
    crows = index.crows_task(stage)
    found = [
        (index.entry(stage, index.stereoset_task(), "ss"), "Its stereotype score (StereoSet) is"),
        (index.entry(stage, crows, "crows_score"), "its CrowS score is"),
    ]
    told = [
        f"{text} {entry.value:.1f} on {counted(entry)} items"
        for entry, text in found
        if entry and entry.value is not None
    ]
    words = ", ".join(told)
    return f" {words[0].upper()}{words[1:]} (50 means no preference)." if told else ""


def _progress(stage: Stage) -> str:
    step = progress(stage)
    return f"{step}, {len(stage.folds)} cross-fitted folds" if len(stage.folds) > 1 else step
