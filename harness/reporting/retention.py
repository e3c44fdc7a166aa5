"""Whether a step is still the model that it was: perplexity, language-model score, and answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.metrics.formatting import signed
from harness.reporting.formatting import task_name
from harness.reporting.index import PERPLEXITY_TASK, STEREOSET_TASKS
from harness.reporting.legend import metric_legend
from harness.reporting.schema import Check, Entry, Retention
from harness.reporting.schema_types import CheckState, RetentionState
from harness.reporting.thresholds import Thresholds

CHANCE_LMS = 200 / 3
"""LMS of answers at random among three options of which two are meaningful, in percent."""

CHANCE_FLIPS = 100 * 8 / 9
"""`order_flips` of answers at random: all three orders get the same one in 1 of 9 items. Always the first: 100."""

NEAR_CHANCE = 3.0
"""Points from chance that still count as chance; the interval of a few hundred items is about as wide."""


class _Loss(NamedTuple):
    """A change turned so that more is worse, its interval, each fold's own, and the two bounds that it is held to."""

    low: float | None
    high: float | None
    folds: Sequence[float]
    kept: float
    broken: float

    @property
    def state(self) -> CheckState:
        if (self.low is not None and self.low > self.broken) or any(fold > self.broken for fold in self.folds):
            return "broken"
        return "kept" if self.high is not None and self.high <= self.kept else "paid"


def retention(entries: Sequence[Entry], thresholds: Thresholds, abilities: Collection[str] = ()) -> Retention | None:
    """What one step or control kept of its base model, from its entries; None if no base model was scored.

    Several folds are judged by their mean's interval, and each by its own value: pooled with the others, the bias
    scores of a broken fold would count. Of each task in `abilities`, lm-eval's own, the first metric counts whose
    better direction is known.
    """
    if not any(entry.base_value is not None for entry in entries):
        return None
    whole = [entry for entry in entries if entry.part is None]
    told = [entry for entry in whole if entry.task not in abilities or entry is _told_by(whole, entry.task)]
    checks = list(_checks(told, thresholds, abilities))
    lms = {check.task: check for check in checks if check.metric == "lms"}
    lms_task = next((task for task in STEREOSET_TASKS if task in lms), None)
    perplexity = next((check for check in checks if check.task == PERPLEXITY_TASK), None)
    measured = bool(lms) or any(check.task in abilities for check in checks)
    state = _state(checks, measured, perplexity is not None)
    return Retention(
        state=state,
        reason=_reason(state, checks),
        suspect=_suspect(lms.get(lms_task or ""), perplexity, thresholds),
        checks=checks,
        lms_task=lms_task,
        lms_change=lms[lms_task].change if lms_task else None,
        perplexity_ratio=perplexity.change if perplexity else None,
    )


def why_not_ranked(kept: Retention | None) -> str | None:
    """Why a step has no rank, in a word or two; None if it has: a model that no longer prefers language to noise
    would win, and one that knows the sentences it is tested on, too."""
    if kept is None:
        return "no base"
    return "suspect" if kept.suspect else None if kept.state in ("kept", "paid") else kept.state


def answers_at_random(entries: Iterable[Entry], task: str) -> bool:
    """Whether the answers to a StereoSet prompt are those of chance, by LMS and by how often the order decides them."""
    if not task.startswith("stereoset_prompt"):
        return False
    found = {entry.metric: entry for entry in entries if entry.task == task and entry.part is None}
    lms, flips = found.get("lms"), found.get("order_flips")
    if lms is None or lms.value is None:
        return False
    inside = lms.low is not None and lms.high is not None and lms.low <= CHANCE_LMS <= lms.high
    by_order = flips is None or flips.value is None or flips.value >= CHANCE_FLIPS - 2 * NEAR_CHANCE
    return by_order and (inside or abs(lms.value - CHANCE_LMS) <= NEAR_CHANCE)


def _state(checks: Sequence[Check], measured: bool, perplexity: bool) -> RetentionState:
    if any(check.state == "broken" for check in checks):
        return "broken"
    if not measured and not perplexity:
        return "unmeasured"
    return "kept" if perplexity and all(check.state == "kept" for check in checks) else "paid"


def _suspect(lms: Check | None, perplexity: Check | None, limits: Thresholds) -> str | None:
    """Why a step seems to know StereoSet's own sentences: it grew better at these, and not at other text.

    A model trained on these very sentences gains 8 points; a better model of language would show it elsewhere too.
    """
    if lms is None or lms.low is None or lms.low <= limits.lms_learned:
        return None
    if perplexity is not None and perplexity.high is not None and perplexity.high < 1:
        return None
    elsewhere = (
        "and no perplexity says that it models language better" if perplexity is None else "and perplexity did not fall"
    )
    return f"the language-model score rose by {lms.change:.1f} points ({_ends(lms)}) {elsewhere}"


def _told_by(entries: Sequence[Entry], task: str) -> Entry | None:
    """The number of a task of lm-eval's own that says whether a model is still able."""
    return next((entry for entry in entries if entry.task == task and entry.best), None)


def _checks(entries: Sequence[Entry], limits: Thresholds, abilities: Collection[str]) -> Iterator[Check]:
    for entry in entries:
        loss = _loss(entry, limits, entry.task in abilities)
        ratio = entry.metric.partition(" (")[0].endswith("perplexity")
        change = entry.ratio if ratio else entry.difference
        if loss is None or change is None:
            continue
        yield Check(
            task=entry.task,
            metric=entry.metric,
            before=entry.base_value,
            after=entry.value,
            change=change,
            low=entry.ratio_low if ratio else entry.difference_low,
            high=entry.ratio_high if ratio else entry.difference_high,
            is_ratio=ratio,
            at_random=entry.metric == "lms" and answers_at_random(entries, entry.task),
            state="broken" if entry.metric == "lms" and answers_at_random(entries, entry.task) else loss.state,
        )


def _loss(entry: Entry, limits: Thresholds, ability: bool) -> _Loss | None:
    base = entry.base_value
    if base is None or entry.value is None:
        return None
    folds = [value for value in entry.fold_values or [] if value is not None]
    perplexity = entry.metric == "word_perplexity" and entry.task == PERPLEXITY_TASK
    if perplexity or (ability and entry.ratio is not None):
        ratios = [value / base for value in folds]
        return _Loss(entry.ratio_low, entry.ratio_high, ratios, limits.perplexity_kept, limits.perplexity_broken)
    if ability:
        return _change(entry, folds, base, limits.ability_kept, limits.ability_broken, falls=entry.best == "higher")
    if entry.metric in ("no_answer", "empty"):
        return _change(entry, folds, base, limits.silent_kept, limits.silent_broken)
    if entry.metric == "lms":
        return _change(entry, folds, base, limits.lms_kept, limits.lms_broken, falls=True)
    return None


def _change(
    entry: Entry, folds: Sequence[float], base: float, kept: float, broken: float, falls: bool = False
) -> _Loss:
    low, high = entry.difference_low, entry.difference_high
    if not falls:
        return _Loss(low, high, [fold - base for fold in folds], kept, broken)
    turned = (None if high is None else -high, None if low is None else -low)
    return _Loss(*turned, [base - fold for fold in folds], kept, broken)


def _reason(state: RetentionState, checks: Sequence[Check]) -> str:
    if state == "unmeasured":
        return "neither perplexity nor a language-model score nor another task was scored for base model and step"
    told = [_told(check) for check in checks if check.state == state] if state != "kept" else []
    if state == "paid" and not any(check.task == PERPLEXITY_TASK for check in checks):
        told.append("perplexity was not scored, so the price is only partly known")
    return "; ".join(told) if told else "every measure of its abilities stayed within its bounds"


def _told(check: Check) -> str:
    what = f"{task_name(check.task)}, {metric_legend(check.metric).label}"
    if check.at_random:
        return f"{what}: the answers are those of chance ({check.after:.1f}, by chance {CHANCE_LMS:.1f})"
    moved = f"x {check.change:.2f}" if check.is_ratio else f"{signed(check.change)} points"
    return f"{what} went from {check.before:.1f} to {check.after:.1f} ({moved}, {_ends(check)})"


def _ends(check: Check) -> str:
    if check.low is None or check.high is None:
        return "no interval"
    if check.is_ratio:
        return f"{check.low:.2f} to {check.high:.2f}"
    return f"{signed(check.low)} to {signed(check.high)}"
