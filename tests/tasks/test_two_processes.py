"""Two processes write what one writes: every task of the suite, every family, every sample and metric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forked_ranks
import pytest
import tiny_models

from harness.scoring.eval_command import run
from harness.storage.results import find_scored

# An odd number, so that lm-eval pads the second process's requests.
DOCUMENTS = "3"
TASKS = {
    "causal": "bias_suite,wikitext2",
    "masked": "stereoset,crows_pairs,crows_pairs_pll,bias_generation,wikitext2",
    "seq2seq": "bias_suite,wikitext2",
}


def model(family: str, folder: Path) -> Path:
    """With a window that the longest prompt of the suite fits into."""
    if family == "causal":
        made = tiny_models.byte_llama(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 1024}))
        return made
    return tiny_models.masked(folder) if family == "masked" else tiny_models.t5(folder, n_positions=1024)


def arguments(family: str, pretrained: Path, data: Path, out: Path) -> list[str]:
    judges = {"toxicity_classifier": "demonstration", "regard_classifier": "demonstration"}
    told = json.dumps({"data_dir": str(data), "k": "3", **judges})
    asked = ["--model_args", f"pretrained={pretrained}", "--tasks", TASKS[family], "--limit", DOCUMENTS]
    return [*asked, "--output_path", str(out), "--metadata", told]


def differences(one: Any, two: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where two values differ; log-likelihoods may by what another batch rounds."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in one.keys() | two.keys():
            yield from differences(one.get(key), two.get(key), (*place, key))
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (left, right) in enumerate(zip(one, two, strict=True)):
            yield from differences(left, right, (*place, index))
    elif one != two and not _close(one, two):
        yield (*place, one, two)


def _close(one: Any, two: Any) -> bool:
    try:
        return math.isclose(float(one), float(two), rel_tol=1e-5, abs_tol=1e-4) or (one != one and two != two)
    except (TypeError, ValueError):
        return False


def score_each(asked: list[list[str]]) -> None:
    for words in asked:
        run(words)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_write_every_sample_and_metric_that_one_writes(tmp_path: Path, sample_and_lexicon: Path) -> None:
    asked = []
    for family in TASKS:
        home = tmp_path / family
        pretrained = model(family, home / "model")
        run(arguments(family, pretrained, sample_and_lexicon, home / "one"))
        asked.append(arguments(family, pretrained, sample_and_lexicon, home / "two"))
    forked_ranks.launch("cpu_2proc", score_each, (asked,), tmp_path)
    for family in TASKS:
        require_equal(tmp_path / family / "one", tmp_path / family / "two")


def require_equal(one_folder: Path, two_folder: Path) -> None:
    (one,), (two,) = find_scored(one_folder), find_scored(two_folder)
    for part in ("results", "n-samples", "task_hashes", "higher_is_better", "groups"):
        assert not list(differences(one.results.get(part), two.results.get(part), (part,)))
    assert one.provenance.tasks == two.provenance.tasks
    assert one.provenance.generations == two.provenance.generations
    for task in one.results["configs"]:
        samples = [list(found.samples(task)) for found in (one, two)]
        assert len(samples[0]) == int(DOCUMENTS)
        assert not list(differences(*samples, (task,)))
