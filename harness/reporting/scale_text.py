"""Sentences about size: what a line over models says, and where it says nothing."""

from __future__ import annotations

from harness.metrics.formatting import signed
from harness.reporting.index import Index
from harness.reporting.methods import RANKED
from harness.reporting.scale_schema import Scale, SizeFit


def told(found: Scale) -> str:
    """Over all models, then within each family; at the end what was left out."""
    sentences = [_sentence(found, fit) for fit in found.fits] or [f"{_what(found)}: cannot tell from 0 models."]
    if found.left_out:
        left = ", ".join(f"{one.model} ({one.why})" for one in found.left_out)
        sentences.append(f"Left out: {left}.")
    return " ".join(sentences)


def is_main(found: Scale) -> bool:
    """Whether the verdict tells of it: what a method does to StereoSet's distance from 50, as it lists that by size."""
    return found.of == "effect" and found.metric == "ss"


def first_sentence(found: Scale) -> str:
    """What the line over all models says."""
    return _sentence(found, found.fits[0]) if found.fits else told(found)


def _sentence(found: Scale, fit: SizeFit) -> str:
    within = "" if fit.architecture is None else f"Within {fit.architecture}: "
    models = f"{fit.models} model{'' if fit.models == 1 else 's'}"
    if fit.low is None or fit.high is None:
        why = " of one size" if fit.slope is None and fit.models > 1 else ""
        return f"{within}{_what(found, bool(within))} against size: cannot tell from {models}{why}."
    tenfold = f"{'with' if within else 'With'} every tenfold of parameters"
    return f"{within}{tenfold} {_moves(found, fit)}; {models}): {_so(found, fit)}."


def _what(found: Scale, inside: bool = False) -> str:
    label = RANKED[found.metric]
    if found.of == "base":
        return f"{label} of the bases"
    return f"{'the' if inside else 'The'} effect of {_method(found)} on {label}"


def _method(found: Scale) -> str:
    return found.method or "training"


def _moves(found: Scale, fit: SizeFit) -> str:
    label = RANKED[found.metric]
    if found.is_factor:
        subject = f"{label} of the bases" if found.of == "base" else f"what {_method(found)} leaves of {label}"
        return f"{subject} is multiplied by {fit.slope:.2f} ({fit.low:.2f} to {fit.high:.2f}"
    subject = f"{label} of the bases" if found.of == "base" else f"the effect of {_method(found)} on {label}"
    return f"{subject} changes by {signed(fit.slope)} points ({signed(fit.low)} to {signed(fit.high)}"


def _so(found: Scale, fit: SizeFit) -> str:
    """What follows from the slope's interval, and from where the line stands at the largest model."""
    if found.of == "base":
        return {
            "rises": "the larger the model, the more biased by this measure",
            "falls": "the larger the model, the less biased by this measure",
            "cannot tell": "cannot tell whether bias goes with size",
        }[fit.trend]
    still = _still(found, fit)
    if fit.trend == "cannot tell":
        return (
            f"cannot tell whether it changes with size{still}"
            if still
            else "cannot tell whether it holds as models grow"
        )
    return f"the larger the model, the {'less' if fit.trend == 'rises' else 'more'} it takes off{still}"


def _still(found: Scale, fit: SizeFit) -> str:
    """Where all of the line's interval at the largest size is a fall, these words; else ""."""
    low, high = fit.at_largest_low, fit.at_largest_high
    if low is None or high is None or high >= (1 if found.is_factor else 0):
        return ""
    ends = f"x {low:.2f} to x {high:.2f}" if found.is_factor else f"{signed(low)} to {signed(high)} points"
    return f"; at the largest size here the line is still a fall ({ends})"


def by_size(index: Index) -> list[str]:
    """How the stereotype score's distance from 50 changed by each method, smallest model first, where sizes differ."""
    told: dict[str | None, list[tuple[int, str]]] = {}
    for stages in index.families():
        last = stages[-1]
        entry = index.entry(last, index.stereoset_task(), "ss")
        if entry and entry.distance_change is not None:
            mark = " (broken)" if last.retention and last.retention.state == "broken" else ""
            change = f"{index.model_name(last)} {signed(entry.distance_change)}{mark}"
            told.setdefault(last.method, []).append((entry.parameters or 0, change))
    return [
        f"{'' if method is None else f'{method}: '}From the smallest model to the largest, the stereotype score's "
        f"distance from 50 changed by: {', '.join(change for _, change in changes)} points."
        for method, changes in told.items()
        if len({parameters for parameters, _ in changes}) > 1
    ]
