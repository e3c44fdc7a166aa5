"""Measured against expected scores of planted models, as deterministic SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.reporting.plot import COLOURS, FAINT, STYLE
from planted.measured import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {"crows_pairs": "o", "crows_pairs_pll": "s", "stereoset_intrasentence": "^"}
NAMES = {
    "crows_pairs": "CrowS-Pairs",
    "crows_pairs_pll": "CrowS-Pairs, shared tokens (masked only)",
    "stereoset_intrasentence": "StereoSet",
}
_ASIDE = 1.6  # percent points: keeps the models at one share apart


def plot_svg(measured: Sequence[Measured]) -> str:
    """One SVG document: the scores that count signs, and the size of the preference, by share of associations."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    models = list(dict.fromkeys(one.model for one in measured))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.2), layout="constrained")
        signs, sizes = figure.subplots(1, 2)
        _panel(signs, [one for one in measured if one.metric in ("crows_score", "ss")], models)
        signs.set_title("CrowS score and SS")
        signs.set_ylabel("measured, %")
        _panel(sizes, [one for one in measured if one.metric == "abs_logprob_diff"], models)
        sizes.set_title("mean |log P(more) \N{MINUS SIGN} log P(less)|")
        sizes.set_ylabel("measured, nats")
        sizes.set_ylim(bottom=0)
        for axes in (signs, sizes):
            axes.set_xlabel("associations that were planted along the stereotype, %")
        handles = [Line2D([], [], color=_colour(models, one), linewidth=3, label=one) for one in models]
        handles += [Line2D([], [], color=FAINT, marker=MARKS[task], linestyle="", label=NAMES[task]) for task in MARKS]
        handles.append(Line2D([], [], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), label="expected"))
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _panel(axes: Axes, measured: Sequence[Measured], models: Sequence[str]) -> None:
    """Each measured score with its 95% interval; a dashed line through the expected ones of one kind."""
    shares = sorted({one.share for one in measured})
    lines = {tuple(_expected(measured, model, task, shares)) for model in models for task in MARKS}
    for line in sorted(line for line in lines if line):
        axes.plot([100 * share for share in shares], line, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    kinds = [(model, task) for model in models for task in MARKS if _expected(measured, model, task, shares)]
    for one in measured:
        place = kinds.index((one.model, one.task)) - (len(kinds) - 1) / 2
        x = 100 * one.share + _ASIDE * place
        colour = _colour(models, one.model)
        axes.vlines(x, one.low, one.high, color=colour, linewidth=1.2)
        axes.plot(x, one.value, MARKS[one.task], color=colour, markersize=4.5)
    axes.set_xticks([100 * share for share in shares])


def _expected(measured: Sequence[Measured], model: str, task: str, shares: Sequence[float]) -> list[float]:
    by_share = {one.share: one.expected for one in measured if (one.model, one.task) == (model, task)}
    return [by_share[share] for share in shares if share in by_share]


def _colour(models: Sequence[str], model: str) -> str:
    return COLOURS[models.index(model) % len(COLOURS)]
