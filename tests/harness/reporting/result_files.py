"""Writes small folders of lm-eval result files whose metrics can be counted by hand."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data.sources import SOURCES
from harness.storage.provenance import Provenance, Seal, TaskData
from harness.storage.results import PROVENANCE_KEY

DATE = "2026-01-02T03-04-05.000006"
PAIRS = 40
TERMS = 12
ITEMS_A_TERM = 3

Sample = dict[str, Any]


def published(data: str) -> str:
    """A checksum that the data set is known by."""
    return next(pin.digest for pin in SOURCES[data].pins if pin.algorithm == "sha256")  # type: ignore[index]


def crows(won: int, gap: float, pairs: Iterable[int] = range(PAIRS)) -> list[Sample]:
    """Pairs 0..39, ten writers of four pairs, half gender and half age; pair i is won if i < `won`, all gaps alike."""
    return [
        {
            "doc": {
                "pair_id": f"pair{number:02}",
                "row": number,
                "bias_type": "gender" if number % 2 else "age",
                "direction": "stereo" if number % 4 else "antistereo",
                "writer": f"a{number % 10}",
                "tokens_more": 8,
                "tokens_less": 8,
            },
            "filtered_resps": [[str(-30.0), "False"], [str(-30.0 - (gap if number < won else -gap)), "False"]],
        }
        for number in pairs
    ]


def stereoset(pro: Sequence[int], task: str = "intrasentence", meaningful: int = 5) -> list[Sample]:
    """Terms with three items each: the first `pro[t]` items of term t are won by the stereotype.

    `meaningful` of a term's six comparisons with the unrelated option are won, so LMS = 100 meaningful / 6.
    """
    samples = []
    for term, wins in enumerate(pro):
        for item in range(ITEMS_A_TERM):
            beaten = min(2, max(0, meaningful - 2 * item))
            high, low = -10.0, -20.0
            stereotype, anti = (high, low) if item < wins else (low, high)
            unrelated = {2: -30.0, 1: -15.0, 0: -5.0}[beaten]
            samples.append(
                {
                    "doc": {
                        "id": f"{task}-{term:02}-{item}",
                        "task": task,
                        "target": f"term{term:02}",
                        "bias_type": "religion" if term < 3 else "race",
                        "tokens_stereotype": 5,
                        "tokens_anti_stereotype": 5,
                        "tokens_unrelated": 5,
                    },
                    "filtered_resps": [[str(score), "False"] for score in (stereotype, anti, unrelated)],
                }
            )
    return samples


def wikitext(word_perplexity: float, documents: int = 12) -> list[Sample]:
    """Documents of 100 words, each with the same perplexity."""
    return [
        {
            "doc": {"document": number, "title": f"Title {number}", "words": 100, "bytes": 500, "tokens": 120},
            "filtered_resps": [str(-100 * math.log(word_perplexity))],
        }
        for number in range(documents)
    ]


@dataclass
class Scores:
    """One results file to be: the samples of each task and what differs from the usual provenance.

    `noted` is what lm-eval itself writes beside the scores, `of` how many rows each task has.
    """

    tasks: dict[str, list[Sample]]
    origin: str = "local"
    sha256: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    noted: dict[str, Any] = field(default_factory=dict)
    of: int | None = None


def write(folder: Path, scores: Scores, date: str = DATE) -> Path:
    """One results file and its samples files, as lm-eval writes them; returns the results file."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks, seals = {}, {}
    for task, samples in scores.tasks.items():
        data = "wikitext2" if task == "wikitext2" else task.partition("_")[0]
        data = "crows_pairs" if data == "crows" else data
        sha256 = scores.sha256 or (published(data) if data in SOURCES else "0" * 64)
        tasks[task] = TaskData(sha256=sha256, origin=scores.origin, n=len(samples), of=scores.of)  # type: ignore[arg-type]
        lines = [json.dumps({"doc_id": number, **sample}) for number, sample in enumerate(samples)]
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"samples_{task}_{date}.jsonl").write_text(text, encoding="utf-8")
        seals[task] = Seal(sha256=hashlib.sha256(text.encode()).hexdigest(), lines=len(lines))
    told = {
        "model": "tiny-model",
        "pretrained": "models/tiny-model",
        "parameters": 135_000_000,
        "weights_sha256": "b" * 64,
        "started_after": "<|im_start|>",
        "started_after_id": 1,
        "dtype": "float32",
        "tasks": tasks,
        "samples": seals,
        "versions": {"lm_eval": "0.4.13", "torch": "2.13.0"},
        "command": "stereoscope eval --model hf-causal",
        "seconds": 12.5,
        **scores.provenance,
    }
    results = {
        "results": {task: {"alias": task} for task in tasks},
        "higher_is_better": {},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        **scores.noted,
        PROVENANCE_KEY: Provenance.model_validate(told).model_dump(mode="json"),
    }
    file = folder / f"results_{date}.json"
    file.write_text(json.dumps(results, indent=2), encoding="utf-8")
    return file


def step_provenance(step: int, fold: int | None, **more: Any) -> dict[str, Any]:
    """What a checkpoint's provenance has beyond the base model's."""
    return {
        "stage": "step",
        "step": step,
        "epoch": step / 10,
        "fold": fold,
        "checkpoint": f"train/fold-{fold}/checkpoint-{step}",
        "weights_sha256": f"{step:04}{fold}".ljust(64, "c"),
        **more,
    }


def write_run(folder: Path, **shared: Any) -> Path:
    """A base model and two folds of two steps, with these numbers.

    | stage   | CrowS held out | gap | StereoSet SS (fold 0, fold 1) | LMS   | word perplexity |
    | ------- | -------------- | --- | ----------------------------- | ----- | --------------- |
    | base    | 28 of 40: 70   | 4   | 66.67                         | 83.33 | 20              |
    | step 10 | 24 of 40: 60   | 2   | 50, 58.33                     | 83.33 | 20.4            |
    | step 20 | 22 of 40: 55   | 1   | 50, 50                        | 83.33 | 21              |
    """
    write(
        folder / "base",
        Scores(
            {
                "crows_pairs": crows(28, 4),
                "stereoset_intrasentence": stereoset([2] * TERMS),
                "stereoset_intersentence": stereoset([2] * TERMS, "intersentence"),
                "wikitext2": wikitext(20),
            },
            provenance=dict(shared),
        ),
    )
    for step, won, gap, fewer, perplexity in ((10, 24, 2, (6, 3), 20.4), (20, 22, 1, (6, 6), 21.0)):
        for fold in (0, 1):
            pro = [1] * fewer[fold] + [2] * (TERMS - fewer[fold])
            write(
                folder / f"fold-{fold}" / f"step-{step}",
                Scores(
                    {
                        "crows_pairs_heldout": crows(won, gap, range(fold, PAIRS, 2)),
                        "stereoset_intrasentence": stereoset(pro),
                        "stereoset_intersentence": stereoset(pro, "intersentence"),
                        "wikitext2": wikitext(perplexity),
                    },
                    provenance={**step_provenance(step, fold), **shared},
                ),
            )
    return folder
