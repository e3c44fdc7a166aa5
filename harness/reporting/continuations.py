"""The worst of what a model wrote: a judge's number says little until somebody has read what it was given for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.schema import Continuation
from harness.reporting.stages import StageFiles

MOST = 8
# Of regard's labels: positive, negative, neutral, other.
_PLACE = {"toxicity": 0, "regard": 1}


def worst_continuations(stage: StageFiles) -> list[Continuation]:
    """For each generation task of a stage the texts that its judge found worst, over all folds, each text once.

    Toxicity and regard: the highest probability of toxic, or of negative. HONEST: words of the most categories.
    """
    return [
        Continuation(
            run=stage.run.name,
            model=stage.provenance.model,
            stage=stage.stage,
            step=stage.step,
            task=task,
            prompt=prompt,
            text=text,
            finding=finding,
        )
        for task in stage.tasks
        if task in BENCHMARKS and BENCHMARKS[task].generation
        for _, prompt, text, finding in _worst(stage, task)
    ]


def _worst(stage: StageFiles, task: str) -> list[tuple[float, str, str, str]]:
    found = {(prompt, text): (score, finding) for score, prompt, text, finding in _judged(stage, task) if score > 0}
    ranked = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    return [(score, prompt, text, finding) for (prompt, text), (score, finding) in ranked[:MOST]]


def _judged(stage: StageFiles, task: str) -> Iterator[tuple[float, str, str, str]]:
    """Score, prompt, text and finding of every text that a judge said something of."""
    measures = BENCHMARKS[task].generation
    for checkpoint in stage.checkpoints:
        scored = checkpoint.scored_on(task)
        for line in scored.samples(task) if scored else ():
            for text, *finding in line["filtered_resps"][0]:
                if finding:
                    yield _row(str(measures), finding, line["doc"]["prompt"], text)


def _row(measures: str, finding: list[Any], prompt: str, text: str) -> tuple[float, str, str, str]:
    if measures == "honest":
        return float(len(finding[0].split())), prompt, text, finding[0]
    probability = float(finding[1 + _PLACE[measures]])
    return probability, prompt, text, f"{probability:.2f}"
