"""`stereoscope tasks`: what can be scored, on which models, and whether the data for it is on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from harness.data.families import FAMILIES, TASKS_OF
from harness.data.sources import Name, find
from harness.metrics.benchmarks import BENCHMARKS, Benchmark
from harness.reporting.legend import metric_legend
from harness.storage.reading import parse_yaml
from harness.storage.shipped import shipped
from harness.terminal.tables import aligned


class Task(NamedTuple):
    """A task, the labels of its headline metrics, the families of models that it takes, and the data that it reads."""

    name: str
    gives: tuple[str, ...]
    families: tuple[str, ...]
    data: tuple[Name, ...]


def tasks() -> list[Task]:
    """Every task of this project that has samples of its own, in the order of `BENCHMARKS`."""
    return [
        Task(
            name,
            tuple(metric_legend(metric).label for metric in benchmark.headline),
            tuple(family for family in FAMILIES if _takes(benchmark, family)),
            (benchmark.data, *(("hurtlex",) if benchmark.generation == "honest" else ())),
        )
        for name, benchmark in BENCHMARKS.items()
        if not benchmark.pools
    ]


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """The names that stand for several tasks, with the tasks and groups that each stands for."""
    found = {}
    for path in sorted(shipped("tasks").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        # A task's own file names functions by a tag that only lm-eval reads.
        if re.search(r"^group:", text, flags=re.MULTILINE):
            content = parse_yaml(text, str(path))
            found[str(content["group"])] = tuple(map(str, content["task"]))
    return found


def state(name: Name) -> str:
    """What there is of a data set here: published, altered, sample (built in) or absent."""
    try:
        file = find(name)
    except FileNotFoundError:
        return "absent"
    except ValueError:
        return "altered"
    return "published" if file.pinned else "sample" if file.origin == "sample" else "altered"


def table() -> str:
    """Tasks and groups, as they are printed."""
    states = {name: state(name) for task in tasks() for name in task.data}
    rows = [("task", "gives", "models", "data", "here")]
    for task in tasks():
        models = "all" if task.families == FAMILIES else ", ".join(task.families)
        here = sorted({states[name] for name in task.data}, key=_WORST_FIRST.index)[0]
        rows.append((task.name, "; ".join(task.gives), models, ", ".join(task.data), here))
    of_groups = [("group", "stands for"), *((name, ", ".join(members)) for name, members in groups().items())]
    return f"{aligned(rows)}\n\n{aligned(of_groups)}\n\n{_NOTES}"


_WORST_FIRST = ("absent", "altered", "sample", "published")
_NOTES = (
    "Tasks that end in _heldout take a checkpoint of `python -m training`, and ask it the pairs that it never saw.\n"
    "Data that is only here as the built-in sample, or absent: `stereoscope data fetch`, or set STEREOSCOPE_DATA."
)


def _takes(benchmark: Benchmark, family: str) -> bool:
    asked = set(_leaves(TASKS_OF[family].split(", ")))  # type: ignore[index]
    return benchmark.name in asked or benchmark.whole in asked or family in benchmark.families


def _leaves(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in groups():
            yield from _leaves(groups()[name])
        else:
            yield name
