"""Scoring planted models as any model is scored, and their scores beside those that the corpus says they must have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.metrics.benchmarks import BENCHMARKS
from harness.models.any import load_lm
from harness.reporting.formatting import task_name
from harness.reporting.measure import measure
from harness.reporting.rows import Step
from harness.reporting.scores import RunLabel
from harness.scoring.evaluation import score
from harness.storage.results import find_scored
from planted.expected import Expected

METRIC_NAMES = {
    "crows_score": "CrowS score, %",
    "abs_logprob_diff": "mean abs. log P difference, nats",
    "ss": "SS, %",
    "lms": "LMS, %",
}


class Measured(NamedTuple):
    """A score with its 95% interval (percent, or nats for differences), and what it must be."""

    model: str
    share: float
    task: str
    metric: str
    value: float
    low: float
    high: float
    expected: float

    @property
    def agrees(self) -> bool:
        """Whether the expected score is within the interval."""
        return self.low <= self.expected <= self.high


class Scored(NamedTuple):
    """A metric's value and its 95% interval."""

    value: float
    low: float
    high: float


def scores_of(
    pretrained: Path, tasks: Sequence[str], data_dir: Path, folder: Path, peft: Path | None = None
) -> dict[tuple[str, str], Scored]:
    """Score a model folder through lm-eval, results into `folder`; all metrics that have an interval, by task."""
    lm = load_lm(str(pretrained), device="cpu", **({} if peft is None else {"peft": str(peft)}))
    score(lm, tasks, folder, model=pretrained.name, metadata={"data_dir": str(data_dir)})
    (scored,) = find_scored(folder)
    found = {}
    for task in tasks:
        benchmark = BENCHMARKS[task]
        records = [benchmark.record(sample) for sample in scored.samples(task)]
        for one in measure(benchmark, Step([records], [RunLabel()]), ()):
            if one.value is not None:
                # Without an interval, since all clusters say the same, the value alone is what may be expected.
                low, high = (one.value if end is None else end for end in (one.low, one.high))
                found[task, one.metric] = Scored(one.value, low, high)
    return found


def beside(model: str, share: float, scores: dict[tuple[str, str], Scored], expected: Expected) -> Iterator[Measured]:
    """Every expected score beside the measured one."""
    for (task, metric), value in expected.items():
        yield Measured(model, share, task, metric, *scores[task, metric], expected=value)


def table(measured: Sequence[Measured]) -> str:
    """All of it as Markdown, what does not agree marked."""
    lines = [
        "| model | share | task | score | expected | measured (95% interval) |",
        "| --- | ---: | --- | --- | ---: | ---: |",
    ]
    for one in measured:
        decimals = 3 if one.metric == "abs_logprob_diff" else 1
        value, low, high, expected = (
            f"{number:.{decimals}f}" for number in (one.value, one.low, one.high, one.expected)
        )
        mark = "" if one.agrees else " (does not agree)"
        lines.append(
            f"| {one.model} | {one.share:g} | {task_name(one.task)} | {METRIC_NAMES[one.metric]} | {expected} | "
            f"{value} ({low} to {high}){mark} |"
        )
    return "\n".join(lines) + "\n"
