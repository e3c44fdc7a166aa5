"""Ways to do the same work, timed in turn."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

Way: TypeAlias = Callable[[], Sequence[float] | None]
"""Does the work and gives its answers, which may be compared; None if there are none."""


@dataclass
class Outcome:
    """Seconds of each way, and how far its answers are from the first way's at most."""

    name: str
    work: str
    aim: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    apart: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All that was measured."""
        return vars(self)


@dataclass(frozen=True)
class Contest:
    """Named ways, the first of which the others are compared with; `ways` builds them when it is their turn."""

    name: str
    work: str
    aim: str
    ways: Callable[[], Mapping[str, Way]]

    def run(self, rounds: int) -> Outcome:
        """Time all ways in turn, after a round that is not counted."""
        outcome = Outcome(self.name, self.work, self.aim)
        ways = self.ways()
        first: Sequence[float] | None = None
        for turn in range(rounds + 1):
            for name, way in ways.items():
                _wait_for_gpu()
                started = time.perf_counter()
                answers = way()
                _wait_for_gpu()
                seconds = time.perf_counter() - started
                if turn:
                    outcome.seconds.setdefault(name, []).append(seconds)
                    continue
                first = first or answers
                if answers is not None and first is not None and len(answers) == len(first):
                    outcome.apart[name] = max(
                        (abs(one - other) for one, other in zip(answers, first, strict=True)), default=math.nan
                    )
        return outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table: a line a way."""
    lines = [
        "| work | way | median s | spread s | times as fast | aim | answers apart |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for outcome in outcomes:
        slowest = statistics.median(next(iter(outcome.seconds.values())))
        for name, seconds in outcome.seconds.items():
            median = statistics.median(seconds)
            apart = f"{outcome.apart[name]:.1e}" if outcome.apart.get(name) else ""
            cells = (
                outcome.work,
                name,
                f"{median:.2f}",
                f"{max(seconds) - min(seconds):.2f}",
                f"{slowest / median:.2f}",
            )
            lines.append(f"| {' | '.join(cells)} | {outcome.aim} | {apart} |")
    return "\n".join(lines)


def machine_name() -> str:
    """The GPU's name, or the processor's."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a CPU")


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
