"""The picture of a report as deterministic SVG: where each model stands, and what training did to it step by step."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from harness.reporting.formatting import task_name
from harness.reporting.index import Index
from harness.reporting.schema import Report, Stage
from harness.terminal.printable import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by readers with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MOST_TICKS = 8
LONGEST_NAME = 40
_ASIDE = 0.012  # of the longest run: keeps the whiskers of several models apart
_INK, FAINT = "#333333", "#999999"
FONT = "DejaVu Sans"
STYLE = {
    "svg.hashsalt": "stereoscope",
    "svg.fonttype": "path",
    "font.family": FONT,
    "font.size": 9,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


class _Series(NamedTuple):
    name: str
    colour: str
    stages: list[Stage]


def plot_svg(report: Report) -> str:
    """One SVG document: stereotype score against language-model score, and held-out CrowS-Pairs by step."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    index = Index.of(report)
    with styled([stage.model for stage in report.stages]):
        figure = Figure(figsize=(10.4, 4.7), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
        series = _series(index)
        _stereoset(figure.add_subplot(grid[:, 0]), index, series)
        magnitude, score = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
        _by_step(
            magnitude, index, series, "abs_logprob_diff", "CrowS-Pairs: mean |log P(more) \N{MINUS SIGN} log P(less)|"
        )
        _by_step(score, index, series, "crows_score", "CrowS-Pairs: % where the stereotype is likelier")
        magnitude.set_ylabel("nats")
        magnitude.set_ylim(bottom=0)
        score.axhline(50, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        score.set_ylabel("%")
        score.set_xlabel("training step")
        if len(series) > 1:
            handles = [Line2D([], [], color=one.colour, marker="o", label=one.name) for one in series]
            figure.legend(handles=handles, loc="outside upper left", ncols=len(series), frameon=False)
        return saved(figure)


@contextmanager
def styled(names: Iterable[str]) -> Iterator[None]:
    """Inside, pictures look alike; `names` are those that are drawn, in whatever script."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE | _fonts_for(names)), warnings.catch_warnings():
        # Text that stays text is drawn by the reader's fonts, and only its width is guessed here.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


def saved(figure: Figure) -> str:
    """A picture as an SVG document, the same each time."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _fonts_for(names: Iterable[str]) -> dict[str, str]:
    """Text stays text where a name has letters that the font lacks, which would be drawn as empty boxes."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont(FONT)).get_charmap()
    letters = set("".join(map(one_line, names)))
    return {} if all(ord(letter) in known for letter in letters) else {"svg.fonttype": "none"}


def short(name: str) -> str:
    """A name that fits into the picture: its beginning and end."""
    name = one_line(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"


_Point: TypeAlias = tuple[Stage, float, float]


def _series(index: Index) -> list[_Series]:
    return [
        _Series(short(index.name(stages[0])), colour, stages)
        for stages, colour in zip(index.families(), itertools.cycle(COLOURS), strict=False)
    ]


def _stereoset(axes: Axes, index: Index, series: Sequence[_Series]) -> None:
    """SS against LMS; the ideal is up and at 50, and the grey lines join points of equal ICAT."""
    from matplotlib.patheffects import withStroke

    task = index.stereoset_task()
    found = [(one, _points(index, one.stages, task)) for one in series]
    everything = [point for _, points in found for point in points]
    axes.set_xlabel("stereotype score SS, % (50: no preference)")
    axes.set_ylabel("language-model score LMS, %")
    axes.set_title(task_name(task) if task else "StereoSet: not scored")
    if not everything:
        axes.set(xticks=[], yticks=[])
        return
    _iso_icat(axes, [point[1] for point in everything], [point[2] for point in everything])
    for one, points in found:
        for (_, x, y), (_, next_x, next_y) in itertools.pairwise(points):
            arrow = {
                "arrowstyle": "-|>",
                "color": one.colour,
                "linewidth": 1.2,
                "shrinkA": 4,
                "shrinkB": 4,
                "mutation_scale": 8,
            }
            axes.annotate("", xy=(next_x, next_y), xytext=(x, y), arrowprops=arrow)
        for stage, x, y in points:
            broken = stage.retention is not None and stage.retention.state == "broken"
            face = "white" if stage.stage == "base" else one.colour
            axes.plot(x, y, "X" if broken else "o", color=one.colour, markerfacecolor=face, markersize=7.5, zorder=3)
        for stage, x, y in _ends(points) if len(series) == 1 else ():
            name = one.name if stage.stage == "base" else f"step {stage.step}"
            text = axes.annotate(name, (x, y), xytext=(0, 9), textcoords="offset points", ha="center", color=one.colour)
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _ends(points: Sequence[_Point]) -> Sequence[_Point]:
    return (points[0], points[-1]) if len(points) > 1 else points


def _iso_icat(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    left, right = min(*x, 50) - 3, max(*x, 50) + 4
    middle, span = (min(y) + max(y)) / 2, max(8.0, 1.5 * (max(y) - min(y)))
    low, high = max(0.0, middle - span / 2), min(102.0, middle + span / 2)
    ss, lms = np.meshgrid(np.linspace(left, right, 201), np.linspace(low, min(100.0, high), 101))
    icat = lms * np.minimum(ss, 100 - ss) / 50
    width = 5 if icat.max() - icat.min() > 12 else 2
    levels = np.arange(np.floor(icat.min() / width) * width, 100.1, width)
    lines = axes.contour(ss, lms, icat, levels=levels, colors="#c9c9c9", linewidths=0.8)
    axes.clabel(lines, fmt=lambda value: f"ICAT {value:g}", fontsize=7, colors="#8a8a8a")
    axes.axvline(50, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set(xlim=(left, right), ylim=(low, high))


def _points(index: Index, stages: Sequence[Stage], task: str | None) -> list[_Point]:
    points = []
    for stage in stages:
        ss, lms = index.entry(stage, task, "ss"), index.entry(stage, task, "lms")
        if ss and lms and ss.value is not None and lms.value is not None:
            points.append((stage, ss.value, lms.value))
    return points


def _by_step(axes: Axes, index: Index, series: Sequence[_Series], metric: str, title: str) -> None:
    """One metric of held-out CrowS-Pairs by training step with its 95% interval; the base stands at step 0."""
    axes.set_title(title)
    scored = {stage.step or 0 for one in series for stage in one.stages}
    for place, one in enumerate(series):
        aside = (place - (len(series) - 1) / 2) * _ASIDE * max(scored)
        entries = [index.entry(stage, index.crows_task(stage), metric) for stage in one.stages]
        drawn = [(entry.step or 0, entry, entry.value) for entry in entries if entry and entry.value is not None]
        steps = [step + aside for step, _, _ in drawn]
        axes.plot(steps, [value for _, _, value in drawn], "o-", color=one.colour, linewidth=1.2, markersize=4.5)
        for step, (_, entry, _) in zip(steps, drawn, strict=True):
            if entry.low is not None and entry.high is not None:
                axes.vlines(step, entry.low, entry.high, color=one.colour, linewidth=1.2, alpha=0.55)
    axes.set_xticks(sorted(scored) if len(scored) <= MOST_TICKS else [0, max(scored)])
    if not axes.has_data():
        axes.set_yticks([])
