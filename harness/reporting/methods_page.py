"""The methods of each model beside each other, as a section of report.html and as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.formatting import NOTHING, duration, p_text
from harness.reporting.compared_schema import MeasureChange, MethodComparison, MethodDifference, Treatment
from harness.reporting.formatting import moved
from harness.reporting.markup import Html, element, joined, table
from harness.reporting.methods import DIGITS, RANKED

_COST = {"lms": "LMS", "word_perplexity": "perplexity, %"}
_HEADER = ["method", *RANKED.values(), *_COST.values(), "time to make", "passes"]

NOTES = (
    "Changes from the base with their 95% intervals; below 0 a score is nearer to its ideal. "
    "|SS \N{MINUS SIGN} 50| and |CrowS \N{MINUS SIGN} 50|: distance from 50, points. "
    "|d|: mean |log P(more) \N{MINUS SIGN} log P(less)|, nats. LMS: points. Perplexity: change in percent. "
    "A placebo is the base with noise that costs as much perplexity as the method; beyond placebo is the method's "
    "change minus its placebo's.",
    "Two methods share a rank on a measure exactly where they are not told apart: by the paired difference on the "
    "items that both were scored on, after Holm's correction over every two methods and every measure. A method is "
    "ranked if it left the model able and was not trained on the items.",
    "Time to make: of one model, the mean over folds and seeds. Passes: how often the model reads a text to use it.",
)


def section(found: MethodComparison) -> list[Html]:
    """The table of one model, and the differences of every two methods to unfold."""
    unlike = [metric for metric in (*RANKED, *_COST) if len(_items(found, metric)) > 1]
    lines = [_line(one, unlike) for one in found.treatments]
    return [table(_HEADER, lines), *_differences(found.differences)]


def notes() -> list[Html]:
    """What the columns of all these tables mean."""
    return [element("p", note, class_="note") for note in NOTES]


def rows(found: MethodComparison) -> list[list[str]]:
    """The same table as plain cells: header first."""
    header = ["method", "verdict"]
    for label in RANKED.values():
        header += [label, "rank"]
    return [
        [*header, *_COST.values(), "time to make", "passes"],
        *(_plain(one) for one in found.treatments),
    ]


def called(one: Treatment) -> str:
    """A method's name, or whose placebo it is."""
    return one.method if one.control is None else f"placebo of {one.method} ({one.control})"


def change_of(one: Treatment, metric: str) -> MeasureChange | None:
    """What a method did to one measure; None where it was not scored."""
    return next((change for change in one.measures if change.metric == metric), None)


def _items(found: MethodComparison, metric: str) -> set[int]:
    """How many items the methods were scored on: one number where all were scored on as many."""
    return {change.n for one in found.treatments if (change := change_of(one, metric))}


def _line(one: Treatment, unlike: Sequence[str]) -> list[str]:
    """A row; measures that not all methods were scored on alike are told with their items."""
    told = one.word or f"{one.retention or NOTHING}"
    cells = [_cell(change_of(one, metric), metric in unlike) for metric in (*RANKED, *_COST)]
    return [joined(element("strong", called(one)), element("small", told)), *cells, *_making(one)]


def _making(one: Treatment) -> list[str]:
    return [NOTHING if one.control else duration(one.making_seconds), NOTHING if one.control else str(one.passes)]


def _cell(change: MeasureChange | None, counted: bool) -> Html:
    if change is None:
        return joined(NOTHING)
    value, ends = _value(change)
    below = [ends, f"{change.n:,} items" if counted else "", _rank(change.ranks), *_beyond(change)]
    return joined(value, *(element("small", line) for line in below if line))


def _value(change: MeasureChange) -> tuple[str, str]:
    """A change and its interval as text, a perplexity's in percent."""
    value, low, high = change.change, change.low, change.high
    if change.metric == "word_perplexity":
        percent = [None if number is None else 100 * (number - 1) for number in (value, low, high)]
        return _parted(moved(percent[0], percent[1], percent[2], 1))
    return _parted(moved(value, low, high, DIGITS.get(change.metric, 1)))


def _parted(told: str) -> tuple[str, str]:
    """A change and its interval, each for a line of its own: side by side they would be wider than a page."""
    number, _, ends = told.partition(" (")
    return number, ends.rstrip(")")


def _rank(ranks: Sequence[int]) -> str:
    return f"rank {', '.join(map(str, ranks))}" if ranks else ""


def _beyond(change: MeasureChange) -> tuple[str, ...]:
    if change.beyond is None:
        return ()
    digits = DIGITS.get(change.metric, 1)
    number, ends = _parted(moved(change.beyond, change.beyond_low, change.beyond_high, digits))
    return (f"beyond placebo {number}", ends)


def _plain(one: Treatment) -> list[str]:
    cells = [called(one), one.word or one.retention or NOTHING]
    for metric in RANKED:
        change = change_of(one, metric)
        cells += [_whole(change), ", ".join(map(str, change.ranks)) or NOTHING if change else NOTHING]
    return [*cells, *(_whole(change_of(one, metric)) for metric in _COST), *_making(one)]


def _whole(change: MeasureChange | None) -> str:
    if change is None:
        return NOTHING
    value, ends = _value(change)
    return f"{value} ({ends})" if ends else value


def _differences(found: Sequence[MethodDifference]) -> list[Html]:
    if not found:
        return []
    lines = [
        [
            RANKED[one.metric],
            one.one,
            one.other,
            NOTHING if one.n is None else f"{one.n:,}",
            moved(one.difference, one.low, one.high, DIGITS.get(one.metric, 1)),
            p_text(one.p_holm),
        ]
        for one in found
    ]
    header = ["measure", "method", "other method", "items", "distance of the first minus that of the other", "p (Holm)"]
    told = f"Every two methods ({len(found)} comparison{'s' * (len(found) > 1)})"
    return [element("details", element("summary", told), table(header, lines, text_columns=range(3)))]
