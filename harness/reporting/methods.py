"""The methods for one model beside each other: what each changed, at what cost, and which are ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.metrics.formatting import signed
from harness.reporting.compared_schema import MeasureChange, MethodComparison, Treatment
from harness.reporting.index import PERPLEXITY_TASK, Index, ModelKey, model_key
from harness.reporting.ranking import Contender, Ranking, is_shown, ranking
from harness.reporting.retention import why_not_ranked
from harness.reporting.schema import Entry, Judgement, Stage
from harness.reporting.scores import TaskScores
from harness.reporting.verdict import headline_entries, learned

RANKED: Mapping[str, str] = {
    "ss": "|SS \N{MINUS SIGN} 50|",
    "crows_score": "|CrowS \N{MINUS SIGN} 50|",
    "abs_logprob_diff": "|d|",
}
"""The measures that methods are ranked on, all distances from an ideal, and what tables call them."""

DIGITS: Mapping[str, int] = {"abs_logprob_diff": 2}

Scored = Mapping[ModelKey, Mapping[str, TaskScores]]
"""The records of each method's last step, by task."""


def comparisons(index: Index, judged: Sequence[Judgement], scored: Scored) -> list[MethodComparison]:
    """One for each model that has two methods or more.

    Args:
        judged: as `judgements` gives them, one for each of `index.families()`.
    """
    of_model: dict[tuple[str, str, str, str | None], list[tuple[list[Stage], Judgement]]] = {}
    for stages, judgement in zip(index.families(), judged, strict=True):
        if model_key(stages[-1]) in scored:
            of_model.setdefault(model_key(stages[-1])[:4], []).append((stages, judgement))
    return [_comparison(index, methods, scored) for methods in of_model.values() if len(methods) > 1]


Ranked = tuple[ModelKey, int | None]
"""A method for a model, and its step."""


def ranks_of(found: Sequence[MethodComparison]) -> dict[Ranked, dict[str, list[int]]]:
    """The ranks by measure of each method that is compared."""
    return {
        ((one.run, one.model, one.started_after, one.prompt, its.method), its.step): {
            change.metric: change.ranks for change in its.measures if change.ranks
        }
        for one in found
        for its in one.treatments
        if its.control is None
    }


def _comparison(index: Index, methods: Sequence[tuple[Sequence[Stage], Judgement]], scored: Scored) -> MethodComparison:
    found = ranking({metric: _contenders(index, methods, scored, metric) for metric in RANKED})
    treatments = []
    for stages, judgement in methods:
        treatments.append(_treatment(index, stages[-1], judgement, found))
        treatments += [_treatment(index, control, None, None) for control in index.controls(stages[-1])]
    run, model, started_after, prompt, _ = model_key(methods[0][0][-1])
    told = _told(index.model_name(methods[0][0][-1]), treatments, found)
    return MethodComparison(
        run=run,
        model=model,
        started_after=started_after,
        prompt=prompt,
        treatments=treatments,
        differences=list(found.differences),
        text=told,
    )


def _contenders(
    index: Index, methods: Sequence[tuple[Sequence[Stage], Judgement]], scored: Scored, metric: str
) -> list[Contender]:
    """The methods that are ranked on a measure, none of which was trained on its items."""
    found = []
    for stages, _ in methods:
        last = stages[-1]
        entry = next((one for one in headline_entries(index, last) if one.metric == metric), None)
        if entry is None or entry.distance_change is None or why_not_ranked(last.retention):
            continue
        if not learned(index, stages[0], entry) and last.method is not None:
            found.append(Contender(last.method, entry.distance_change, scored[model_key(last)][entry.task]))
    return found


def _treatment(index: Index, stage: Stage, judgement: Judgement | None, found: Ranking | None) -> Treatment:
    method = stage.method or ""
    ranks = {} if found is None else {metric: found.ranks.get((metric, method), ()) for metric in RANKED}
    measures = [
        *(_distance(entry, ranks.get(entry.metric, ())) for entry in headline_entries(index, stage)),
        *_others(index, stage),
    ]
    return Treatment(
        method=method,
        control=stage.control,
        step=stage.step,
        word=judgement.word if judgement else None,
        retention=stage.retention.state if stage.retention else None,
        not_ranked="placebo" if judgement is None else why_not_ranked(stage.retention),
        measures=measures,
        making_seconds=stage.making_seconds,
        passes=stage.passes,
    )


def _distance(entry: Entry, ranks: Sequence[int]) -> MeasureChange:
    assert entry.distance_change is not None
    return MeasureChange(
        task=entry.task,
        metric=entry.metric,
        n=entry.n,
        change=entry.distance_change,
        low=entry.distance_low,
        high=entry.distance_high,
        beyond=entry.beyond_change,
        beyond_low=entry.beyond_low,
        beyond_high=entry.beyond_high,
        ranks=list(ranks),
    )


def _others(index: Index, stage: Stage) -> Iterable[MeasureChange]:
    """What a method cost: the change of the language-model score, and perplexity after / before."""
    lms = index.entry(stage, index.stereoset_task(), "lms")
    perplexity = index.entry(stage, PERPLEXITY_TASK, "word_perplexity")
    if lms and lms.difference is not None:
        yield _cost(lms, lms.difference, lms.difference_low, lms.difference_high)
    if perplexity and perplexity.ratio is not None:
        yield _cost(perplexity, perplexity.ratio, perplexity.ratio_low, perplexity.ratio_high)


def _cost(entry: Entry, change: float, low: float | None, high: float | None) -> MeasureChange:
    return MeasureChange(
        task=entry.task,
        metric=entry.metric,
        n=entry.n,
        change=change,
        low=low,
        high=high,
        beyond=None,
        beyond_low=None,
        beyond_high=None,
        ranks=[],
    )


def _told(model: str, treatments: Sequence[Treatment], found: Ranking) -> str:
    methods = [one for one in treatments if one.control is None]
    told = [f"{model}, {len(methods)} methods compared."]
    for metric, label in RANKED.items():
        if sentence := _first(metric, label, methods, found):
            told.append(sentence)
    if left := [f"{one.method} ({one.not_ranked})" for one in methods if one.not_ranked]:
        told.append(f"Not ranked: {', '.join(left)}.")
    return " ".join(told)


def _first(metric: str, label: str, methods: Sequence[Treatment], found: Ranking) -> str:
    """Which method comes first on a measure, and which are told from it; "" where fewer than two are ranked."""
    ranked = sorted((change.change, one.method) for one in methods for change in _ranked_on(one, metric))
    if len(ranked) < 2:
        return ""
    shown = [one for one in found.differences if one.metric == metric and is_shown(one)]
    if not shown:
        return f"On {label} no method can be told from another."
    change, first = ranked[0]
    apart = {one.one if one.other == first else one.other for one in shown if first in (one.one, one.other)}
    names = [name for _, name in ranked[1:]]
    behind, tied = ([name for name in names if (name in apart) == told] for told in (True, False))
    unit = "nats" if metric == "abs_logprob_diff" else "points"
    told = f"On {label} {first} comes first ({signed(change, DIGITS.get(metric, 1))} {unit})"
    if not behind:
        return f"{told}, but is not told from any other."
    return f"{told}, ahead of {', '.join(behind)}{'; not told from it: ' + ', '.join(tied) if tied else ''}."


def _ranked_on(one: Treatment, metric: str) -> list[MeasureChange]:
    return [change for change in one.measures if change.metric == metric and change.ranks]
