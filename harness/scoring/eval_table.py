"""What `stereoscope eval` prints: metrics with 95% intervals, computed from the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness.metrics.benchmarks import BENCHMARKS, Benchmark
from harness.metrics.formatting import NOTHING
from harness.metrics.value_intervals import Interval, value_intervals
from harness.storage.results import read_scored
from harness.terminal.printable import printable
from harness.terminal.tables import aligned

Z_95 = 1.959964


def print_scores(results: Mapping[str, Any], file: Path | None, everything: bool, limit: float | None = None) -> None:
    """Print what was scored, and say where the rest is.

    Args:
        results: lm-eval's, samples included, pooled scores too.
        file: the results file, where one was written: generated texts are judged in the samples beside it only.
        everything: all metrics; otherwise the headline ones of each task.
        limit: of documents a task, or a share of them.
    """
    shown = list(lines(results, file, everything))
    print(f"{printed(shown)}\n")
    if limit is not None:
        part = f"the first {limit:g} documents" if limit >= 1 else f"the first {limit:.1%}"
        print(f"Only {part} of each task were scored (--limit).")
    computed = sum("," in key and "_stderr," not in key for one in results["results"].values() for key in one)
    if not everything and computed > len(shown):
        print(f"All {computed} metrics, those of each bias type and group included: --verbose.")
    if file is None:
        print("Nothing was kept: --output-path FOLDER writes results and samples, for `stereoscope report FOLDER`.")
    else:
        print(printable(f"Results and samples: {file.parent}\nA page with all of it: stereoscope report {file.parent}"))


@contextmanager
def shown_if_it_fails(results: Mapping[str, Any], written: Callable[[], Path | None]) -> Iterator[None]:
    """What comes after hours of scoring may fail, and the scores are printed first then.

    Args:
        written: the results file so far.
    """
    try:
        yield
    except Exception:
        file = written()
        # Texts that are not judged have no scores yet.
        known = {task: values for task, values in results["results"].items() if not _is_generation(task)}
        print(f"{printed(list(lines({**results, 'results': known})))}\n")
        print("The scores are complete; what failed came after them.", end=" ")
        print(printable(f"Results and samples: {file.parent}") if file else "They could not be written.", flush=True)
        raise


class Line(NamedTuple):
    """One metric of a task; `n` counts the items behind it."""

    task: str
    metric: str
    value: float | None
    interval: Interval | None
    n: int | None
    decimals: int


def lines(results: Mapping[str, Any], written: Path | None = None, everything: bool = False) -> Iterator[Line]:
    """The headline metrics of every task that was scored, or all metrics.

    Args:
        results: lm-eval's, samples included, pooled scores too.
        written: the results file, where there is one: generated texts are judged in the samples beside it only.
        everything: all metrics, with those of each part ("ss/gender").
    """
    for task, values in results["results"].items():
        benchmark = BENCHMARKS.get(task)
        if benchmark is None:
            yield from _of_lm_eval(task, values, results)
        elif any(f"{metric},none" in values for metric in benchmark.headline):
            yield from _of(benchmark, _records(benchmark, results, written), everything)


def printed(shown: Sequence[Line]) -> str:
    """The lines as a table."""
    rows = [("task", "metric", "value", "95% interval", "n")]
    before = ""
    for line in shown:
        value = NOTHING if line.value is None else f"{line.value:.{line.decimals}f}"
        low_high = line.interval and f"{line.interval.low:.{line.decimals}f} to {line.interval.high:.{line.decimals}f}"
        n = NOTHING if line.n is None else str(line.n)
        rows.append(("" if line.task == before else line.task, line.metric, value, low_high or NOTHING, n))
        before = line.task
    return aligned(rows, right=(2, 4))


def _of(benchmark: Benchmark, records: Sequence[Any], everything: bool) -> Iterator[Line]:
    whole = benchmark.metrics(records)
    intervals = _intervals(benchmark, records)
    for metric in (name for name in whole if "/" not in name and name != "n") if everything else benchmark.headline:
        yield Line(benchmark.name, metric, whole[metric], intervals.get(metric), _count(whole["n"]), 2)
    for part, members in (benchmark.parts(records) if everything else {}).items():
        intervals = _intervals(benchmark, members)
        n = _count(whole.get(f"n/{part}"))
        for key in (key for key in whole if key.partition("/")[2] == part and not key.startswith("n/")):
            yield Line(benchmark.name, key, whole[key], intervals.get(key.partition("/")[0]), n, 2)


def _intervals(benchmark: Benchmark, records: Sequence[Any]) -> dict[str, Interval | None]:
    return value_intervals(benchmark.table(records), benchmark.combine)


def _records(benchmark: Benchmark, results: Mapping[str, Any], written: Path | None) -> list[Any]:
    scored = read_scored(written) if benchmark.generation and written is not None else None
    if scored is not None:
        return [benchmark.record(line) for line in scored.samples(benchmark.name)]
    tasks = benchmark.pools or (benchmark.name,)
    return [benchmark.record(line) for task in tasks for line in results["samples"][task]]


def _of_lm_eval(task: str, values: Mapping[str, Any], results: Mapping[str, Any]) -> Iterator[Line]:
    """A task that is not ours: all its metrics, with intervals from lm-eval's standard errors where it has any."""
    n = results.get("n-samples", {}).get(task, {}).get("effective")
    for key, value in values.items():
        metric, comma, filter_name = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = values.get(f"{metric}_stderr,{filter_name}")
        half = Z_95 * error if isinstance(error, int | float) else None
        name = metric if filter_name == "none" else f"{metric} ({filter_name})"
        yield Line(task, name, value, None if half is None else Interval(value - half, value + half), n, 4)


def _count(n: float | None) -> int | None:
    return None if n is None else int(n)


def _is_generation(task: str) -> bool:
    return task in BENCHMARKS and BENCHMARKS[task].generation is not None
