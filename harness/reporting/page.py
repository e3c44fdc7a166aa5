"""report.html: one file that needs nothing else, no network and no scripts, with the answer first."""

from __future__ import annotations

from collections.abc import Mapping

from harness.reporting import methods_page, origins, scale_page, sections, written
from harness.reporting.index import Index
from harness.reporting.markup import Html, bullets, element, joined
from harness.reporting.schema import Report

LIMITS = (
    "CrowS-Pairs has known faults: published critique found pairs that contrast two claims rather than two groups, "
    "that differ in more than one place, or on whose bias type the annotators did not agree. Its authors advise "
    "against training on it; every step here is an experiment against that advice, and only pairs that a checkpoint "
    "never saw are scored for it.",
    "The CrowS score counts signs. A model whose preferences all shrink to a tenth keeps its score, and near 50 it "
    "says little either way; read it beside the mean absolute difference.",
    "A lower score does not show that the model's own texts treat people more fairly. Both sets are short English "
    "sentences about stereotypes held in the United States, written by crowd workers.",
    "A model that no longer tells language from noise has no preferences: noise on the weights takes bias scores "
    "towards their ideals. Hence the gate on what a step kept, and the placebo.",
    "StereoSet's intersentence task is scored by likelihood here; the published figures used a next-sentence "
    "classifier and do not compare. Its religion part has three target terms: its interval is nearly useless.",
    "Scores depend on the token that a sentence starts after, by points for instruction-tuned models; it is the same "
    "for base and steps here, and recorded below.",
    "Texts are judged by a classifier or a list of words, not by people: classifiers mistake names of groups for "
    "insults, and HurtLex counts ordinary words (do, black, gay). A demonstration classifier proves nothing at all.",
    "With a single training run the intervals are about the choice of items only, with several folds or seeds about "
    "training too. Other settings would move the steps' scores as well, and settings chosen on a benchmark flatter it.",
)

_STYLE = """
:root { --ink: #1f2933; --soft: #5c6b7a; --line: #dde3e9; --card: #ffffff; --page: #f4f6f8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.2rem 0 .4rem; color: var(--soft); }
p { margin: .5rem 0; }
.subtitle { color: var(--soft); margin: 0 0 1.4rem; overflow-wrap: anywhere; }
.verdict { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--accent);
  border-radius: 6px; padding: .9rem 1.3rem; margin-bottom: 1rem; font-size: 1.06rem; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .4rem 1.3rem 1.1rem;
  margin-bottom: 1rem; }
.figure svg { width: 100%; height: auto; display: block; margin-top: .9rem; }
.note { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .42rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .8rem; vertical-align: bottom; }
tbody tr:last-child td { border-bottom: none; }
th:first-child, td:first-child { padding-left: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.text { text-align: left; }
small { display: block; color: var(--soft); font-size: .78rem; white-space: nowrap; }
code { font: .8rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.warning { background: #fdecea; border-left: 5px solid #c0392b; padding: .6rem 1rem; border-radius: 4px; }
.flag { display: inline-block; background: #e8edf2; color: #33475b; border-radius: 9px; padding: 0 .55rem;
  margin-right: .25rem; font-size: .75rem; white-space: nowrap; }
.flag.broken, .flag.contaminated { background: #fdecea; color: #96281b; }
.flag.sample_data, .flag.altered_data { background: #fff4d6; color: #7a5b00; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); }
.said { white-space: pre-wrap; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; margin: .5rem 0; }
li { margin: .35rem 0; }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } }
"""


METHODS_PLOT, SCALE_PLOT = "methods.svg", "scale.svg"
PLOT_LABEL = "Stereotype score against language-model score, and CrowS-Pairs by training step"
METHODS_LABEL = "What each method changed against what it cost in perplexity"
SCALE_LABEL = "What each method changed, and the bias of the bases, against the number of parameters"


def page_html(report: Report, plot: str, more: Mapping[str, str] | None = None) -> str:
    """The whole page; everything that comes from files is escaped.

    Args:
        plot: the SVG document of the same report.
        more: further ones, by the names of their files.
    """
    index = Index.of(report)
    models = ", ".join(dict.fromkeys(stage.model for stage in report.stages))
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"),
        element("title", f"Stereoscope: {models}"),
        element("style", Html(_STYLE)),
    )
    trained = any(stage.stage == "step" for stage in report.stages)
    body = element(
        "main",
        element(
            "h1", "Did fine-tuning make it less biased, and does it still work?" if trained else "How biased is it?"
        ),
        element("p", f"Stereoscope report \N{MIDDLE DOT} {models}", class_="subtitle"),
        element("div", *(element("p", text) for text in report.verdict.split("\n\n")), class_="verdict"),
        *([_figure(plot, PLOT_LABEL)] if _pictured(report, index) else []),
        *_methods(report, (more or {}).get(METHODS_PLOT)),
        *_scale(report, (more or {}).get(SCALE_PLOT)),
        *_models(report, index),
        element("h2", "What these numbers cannot tell"),
        element("div", bullets(LIMITS), class_="card"),
        *_bounds(report),
        element("h2", "Flags and evidence"),
        element("div", origins.flags(report), class_="card"),
        element("h2", "Where the numbers come from"),
        element(
            "div",
            element("p", element("strong", "Intervals. "), report.legend.intervals),
            element("p", element("strong", "p values. "), report.legend.p_values),
            origins.provenance(report),
            class_="card",
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}\n"


def _pictured(report: Report, index: Index) -> bool:
    """Whether there is anything that the picture shows."""
    return any(index.stereoset_task() or index.crows_task(stage) for stage in report.stages)


def _models(report: Report, index: Index) -> list[Html]:
    families = index.families()
    parts = []
    if len(families) > 1:
        parts += [element("h2", "All models"), element("div", sections.all_stages(report), class_="card")]
    for stages in families:
        steps = [stage for stage in stages if stage.stage == "step"]
        of_model = f": {index.name(stages[0])}" if len(families) > 1 else ""
        details = [
            *sections.by_run(index, stages),
            *sections.by_half(index, stages),
            *sections.by_bias_type(index, stages),
        ]
        parts += [
            element("h2", ("Before and after" if steps else "Scores") + of_model),
            element(
                "div",
                element("h3", sections.title_of(stages, index)),
                *sections.broken(stages),
                sections.before_and_after(index, stages),
                *origins.conditions(index, stages),
                class_="card",
            ),
        ]
        if wrote := written.section(report, index, stages):
            parts += [element("h2", f"What it writes{of_model}"), element("div", *wrote, class_="card")]
        if details:
            parts += [element("h2", f"By part{of_model}"), element("div", *details, class_="card")]
    return parts


def _bounds(report: Report) -> list[Html]:
    """What counts as kept and as broken, for each run where they have bounds of their own."""
    if not any(stage.retention for stage in report.stages):
        return []
    told = {run: bounds.told() for run, bounds in report.thresholds.items()}
    several = len(set(told.values())) > 1
    texts = [f"{run}: {text}" for run, text in told.items()] if several else [next(iter(told.values()))]
    return [
        element("h2", "What counts as kept"),
        element("div", *(element("p", text) for text in texts), class_="card"),
    ]


def _methods(report: Report, plot: str | None) -> list[Html]:
    """The methods beside each other, of each model that has several."""
    parts = []
    for place, found in enumerate(report.comparisons):
        notes = methods_page.notes() if place == len(report.comparisons) - 1 else []
        of_model = f": {found.model}" if len(report.comparisons) > 1 else ""
        parts += [
            element("h2", f"Methods beside each other{of_model}"),
            element("div", *methods_page.section(found), *notes, class_="card"),
        ]
    return [*parts, *([_figure(plot, METHODS_LABEL)] if plot else [])]


def _scale(report: Report, plot: str | None) -> list[Html]:
    """How effects and bias go with size, where the report has several models."""
    if not report.scale:
        return []
    return [
        element("h2", "As models grow"),
        element("div", *scale_page.section(report.scale), class_="card"),
        *([_figure(plot, SCALE_LABEL)] if plot else []),
    ]


def _figure(plot: str, label: str) -> Html:
    """The SVG without its XML prologue, which HTML does not have; it is ours, with its texts drawn as outlines."""
    svg = plot[plot.index("<svg") :].strip()
    told = Html(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
    return joined(element("div", told, class_="card figure"))
