"""What `harness.score` gives back: numbers with intervals as a table, a frame or files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from harness.api.frames import frame
from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.formatting import NOTHING
from harness.reporting.analysis import analyse
from harness.reporting.legend import metric_legend
from harness.reporting.markup import element, joined
from harness.reporting.markup import table as html_table
from harness.reporting.schema_types import Best, Flag
from harness.reporting.stages import find_runs
from harness.storage.provenance import Provenance
from harness.storage.results import Scored, copy_results, find_scored
from harness.terminal.tables import aligned

if TYPE_CHECKING:
    import pandas

HEADER = ("task", "metric", "value", "95% interval", "items", "ideal", "flags")
NUMERIC = (2, 3, 4, 5)


class Score(NamedTuple):
    """One number of one task: `part` is a bias type or group, None for the whole; units are the metric's."""

    task: str
    metric: str
    part: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    unit: str
    best: Best | None
    flags: tuple[Flag, ...]
    setting: str | None


class Scores:
    """The scores of one model; `scores["crows_pairs"]["crows_score"]` is one of them, unrounded.

    Intervals are a report's: 95%, over the clusters of each benchmark. They are computed when they are first shown,
    which takes seconds for large sets. Shares of lm-eval's own tasks are shown in percent, and are as lm-eval gives
    them in `scores["hellaswag"]["acc"]`.
    """

    def __init__(self, home: TemporaryDirectory[str]) -> None:
        """From a folder of results, which is deleted with this object."""
        self._home = home
        (self._scored,) = find_scored(Path(home.name))

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from: weights, precision, start token, data, versions."""
        return self._scored.provenance

    @cached_property
    def rows(self) -> tuple[Score, ...]:
        """Every number; those that are no average of their documents have no interval."""
        entries = analyse(find_runs([Path(self._home.name)])).entries
        ours = [
            Score(
                entry.task,
                entry.metric,
                entry.part,
                entry.value,
                entry.low,
                entry.high,
                entry.n,
                metric_legend(entry.metric).unit,
                entry.best,
                tuple(entry.flags),
                entry.setting,
            )
            for entry in entries
        ]
        return (*ours, *_of_others(self._scored, {row.task for row in ours}))

    def __getitem__(self, task: str) -> dict[str, float | None]:
        """The values of a task by metric, those of a part as "metric/part".

        Raises:
            KeyError: the task was not scored; lists those that were.
        """
        results = self._scored.results["results"]
        if task not in results:
            raise KeyError(f"{task}: not scored; scored were {', '.join(results)}")
        return {
            key.removesuffix(",none"): value
            for key, value in results[task].items()
            # lm-eval writes "N/A" for a standard error that it has not.
            if key.endswith(",none") and not isinstance(value, str) and "_stderr" not in key
        }

    def table(self, everything: bool = False) -> str:
        """The scores as text: of each task those that are looked at first, or all of them with `everything`."""
        return aligned([HEADER, *self._lines(everything)], NUMERIC)

    def to_frame(self) -> pandas.DataFrame:
        """Every number as a row of a pandas frame; columns are the fields of `Score`.

        Raises:
            ModuleNotFoundError: pandas is not installed; says how to install it.
        """
        return frame([row._asdict() for row in self.rows])

    def save(self, folder: str | Path) -> Path:
        """Write the results and samples files of `stereoscope eval` below `folder`, for `harness.report(folder)`.

        Each model has a folder of its own there, and in it the base and each step and fold.

        Returns:
            The results file.

        Raises:
            OSError: the disk is full or the folder not writable; earlier files are untouched.
        """
        provenance = self.provenance
        step = "step" if provenance.step is None else f"step-{provenance.step}"
        fold = "" if provenance.fold is None else f"fold-{provenance.fold}"
        stage = Path("base") if provenance.stage == "base" else Path(fold) / step
        return copy_results(self._scored, Path(folder) / _file_name(provenance.model) / stage)

    def __repr__(self) -> str:
        return f"{self.provenance.model}\n{self.table()}"

    def _repr_html_(self) -> str:
        """How Jupyter shows it."""
        shown = html_table(HEADER, self._lines(everything=False), text_columns=(0, 1, 6))
        return joined(element("p", element("strong", self.provenance.model)), shown)

    def _lines(self, everything: bool) -> list[tuple[str, ...]]:
        return [_line(row) for row in self.rows if everything or _is_headline(row)]


def _line(row: Score) -> tuple[str, ...]:
    told = metric_legend(row.metric).label
    name = f"{told}, {row.part}" if row.part else told
    unit = {"percent": "%", "perplexity": "", "": ""}.get(row.unit, f" {row.unit}")
    interval = NOTHING if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}"
    return (
        row.task,
        f"{name} ({row.setting})" if row.setting else name,
        NOTHING if row.value is None else f"{row.value:.2f}{unit}",
        interval,
        NOTHING if row.n is None else str(row.n),
        {"higher": "high", "lower": "low", None: NOTHING}.get(row.best, str(row.best)),
        ", ".join(flag.replace("_", " ") for flag in row.flags),
    )


def _is_headline(row: Score) -> bool:
    return row.part is None and (row.task not in BENCHMARKS or row.metric in BENCHMARKS[row.task].headline)


def _of_others(scored: Scored, told: Collection[str]) -> Iterator[Score]:
    for task, values in scored.results["results"].items():
        for key, value in values.items() if task not in told else ():
            metric, comma, _ = key.partition(",")
            if comma and "_stderr" not in metric and isinstance(value, int | float):
                yield Score(task, metric, None, float(value), None, None, None, "", None, (), None)


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "__", model).strip(".") or "model"
