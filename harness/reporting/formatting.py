"""Entries, stages and tasks as people read them: one place for every table, plot and sentence of a report."""

from __future__ import annotations

from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.formatting import NOTHING, signed
from harness.reporting.schema import Entry, Stage


def progress(stage: Stage) -> str:
    """How far training had come; "edited weights" or "asked otherwise" where a method needs none."""
    if stage.recipe is not None:
        return "asked otherwise"
    if stage.step is None:
        return "last step" if stage.method is None else "edited weights"
    return f"step {stage.step}"


def stage_name(stage: Stage) -> str:
    """ "base", "step 150 (5 folds, 3 seeds)" or "noise control (3 seeds)"."""
    if stage.stage == "base":
        return "base"
    name = progress(stage)
    counts = {"folds": len(stage.folds), "seeds": len(stage.seeds)}
    several = ", ".join(f"{count} {what}" for what, count in counts.items() if count > 1)
    name = f"{stage.control} control" if stage.stage == "control" else name
    return f"{name} ({several})" if several else name


def number(entry: Entry | None, decimals: int = 1) -> str:
    """An entry's value, a dash where there is none."""
    return NOTHING if entry is None or entry.value is None else f"{entry.value:.{decimals}f}"


def interval(entry: Entry | None, decimals: int = 1) -> str:
    """An entry's 95% interval, a dash where there is none."""
    if entry is None or entry.low is None or entry.high is None:
        return NOTHING
    return f"{entry.low:.{decimals}f} to {entry.high:.{decimals}f}"


def counted(entry: Entry | None) -> str:
    """How many items are behind a value, and of how many where that is not all: "1,508", "40 of 1,508"."""
    if entry is None:
        return NOTHING
    return f"{entry.n:,} of {entry.of:,}" if entry.of is not None and entry.of > entry.n else f"{entry.n:,}"


def perplexity_change(stage: Stage) -> str:
    """Change of word perplexity against the base model, in percent of it."""
    if stage.retention is None or stage.retention.perplexity_ratio is None:
        return NOTHING
    return f"{signed(100 * (stage.retention.perplexity_ratio - 1))}%"


def task_name(task: str) -> str:
    """A task as a heading: "StereoSet intrasentence", "CrowS-Pairs, held out"."""
    names = {
        "crows_pairs": "CrowS-Pairs, all pairs",
        "crows_pairs_heldout": "CrowS-Pairs, held-out pairs",
        "crows_pairs_pll": "CrowS-Pairs, shared tokens, all pairs",
        "crows_pairs_pll_heldout": "CrowS-Pairs, shared tokens, held-out pairs",
        "crows_pairs_prompt": "CrowS-Pairs, prompt form, all pairs",
        "crows_pairs_prompt_heldout": "CrowS-Pairs, prompt form, held-out pairs",
        "stereoset": "StereoSet, both tasks",
        "wikitext2": "WikiText-2",
    }
    if task in names:
        return names[task]
    if task in BENCHMARKS and BENCHMARKS[task].title:
        return BENCHMARKS[task].title
    if task in BENCHMARKS and BENCHMARKS[task].generation:
        return _generation_name(task)
    form, _, kind = task.rpartition("_")
    return {
        "stereoset": f"StereoSet {kind}",
        "stereoset_prompt": f"StereoSet {kind}, prompt form",
        "stereoset_prompt_generate": f"StereoSet {kind}, generated answers",
    }.get(form, task)


def _generation_name(task: str) -> str:
    """ "Toxicity, BOLD race"; "HONEST, queer nonqueer"."""
    measures, _, rest = task.partition("_")
    told = {"toxicity": "Toxicity", "regard": "Regard", "honest": "HONEST"}[measures]
    source, _, part = rest.partition("_")
    where = {"rtp": "RealToxicityPrompts", "bold": "BOLD"}.get(source)
    return f"{told}, {where} {part.replace('_', ' ')}" if where else f"{told}, {rest.replace('_', ' ')}"


def beyond_control(entry: Entry | None, decimals: int = 1) -> str:
    """How much less far from the ideal than the control's an entry is, with its 95% interval; below 0 is better."""
    if entry is None:
        return NOTHING
    return moved(entry.beyond_change, entry.beyond_low, entry.beyond_high, decimals)


def change(entry: Entry | None, decimals: int = 1) -> str:
    """An entry's difference from the base model with its 95% interval."""
    if entry is None:
        return NOTHING
    return moved(entry.difference, entry.difference_low, entry.difference_high, decimals)


def distance(entry: Entry | None, decimals: int = 1) -> str:
    """The change of an entry's distance from an ideal of 50 or 0, with its 95% interval; below 0 is nearer."""
    if entry is None:
        return NOTHING
    return moved(entry.distance_change, entry.distance_low, entry.distance_high, decimals)


def moved(value: float | None, low: float | None, high: float | None, decimals: int) -> str:
    """A change and its 95% interval: "+1.2 (−0.3 to +2.7)"; a dash where there is none."""
    if value is None:
        return NOTHING
    told = signed(value, decimals)
    return told if low is None or high is None else f"{told} ({signed(low, decimals)} to {signed(high, decimals)})"
