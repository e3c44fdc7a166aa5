"""Scoring a loaded model through lm-eval, and the result folder that comes of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.judging.saved_texts import judge_saved
from harness.metrics.benchmarks import BENCHMARKS
from harness.scoring.conditions import parameters_of, scoring_conditions
from harness.scoring.documents import drawn_documents, drop_padding, require_documents
from harness.scoring.noted import git_asked_in_repositories_only, machine_described_once, without_addresses
from harness.scoring.task_files import Selection, select
from harness.scoring.trained import trained_from
from harness.storage.provenance import MatchedBy, Provenance
from harness.storage.results import PROVENANCE_KEY, find_scored, write_results
from harness.terminal.secrets import recordable

if TYPE_CHECKING:
    from harness.models.base import TransformersLM

Results = dict[str, Any]


def score(
    lm: TransformersLM,
    tasks: Sequence[str],
    folder: Path,
    *,
    model: str,
    metadata: Mapping[str, Any] | None = None,
    limits: Mapping[str, int] | int | None = None,
    gen_kwargs: Mapping[str, Any] | None = None,
    stage: Literal["base", "step", "control"] = "base",
    step: int | None = None,
    epoch: float | None = None,
    fold: int | None = None,
    seed: int | None = None,
    control: str | None = None,
    matched_by: MatchedBy | None = None,
    method: str | None = None,
    checkpoint: str | None = None,
    inputs_sha256: str = "",
    command: str | None = None,
) -> Path | None:
    """Score the model as it is loaded now, its adapter included, and write the results and samples into `folder`.

    Texts that it generates are saved first and judged then; if they are there already, from a run that was stopped
    between the two, they are not generated again.

    Args:
        tasks: task or group names.
        model: the name that reports call it by.
        metadata: for the tasks' readers, over what they are told of the model anyway: `data_dir`, `permutations`, ...
        limits: how many of a task's documents to score, the first ones, for every task or by name; all of those of
            tasks that it does not name.
        gen_kwargs: over the generation arguments of all tasks, as lm-eval's `--gen_kwargs`.
        stage: with `step`, `epoch`, `fold`, `seed` and `checkpoint`: where in training the weights are from.
        control: what the weights were made by where it was no training; `matched_by` says how they were sized.
        method: an experiment's name for what made the weights, or for what a control stands beside.
        inputs_sha256: what decided the scores, for whoever asks later whether they are up to date.
        command: what was called; by default this process's arguments.

    Returns:
        The results file; None on every process but the first.

    Raises:
        ValueError: the checkpoint's split belongs to other weights.
    """
    if saved := _not_judged(folder, inputs_sha256):
        return judge_saved(saved if lm.rank == 0 else None)
    started = time.monotonic()
    metadata = {**lm.task_metadata, **(metadata or {})}
    training: Mapping[str, Any] = {}
    if lm.weights_from == "files":
        folder_of = None if checkpoint is None else Path(checkpoint)
        training = trained_from(folder_of, lm.base_weights_sha256, lm.adapter is not None, lm.recipe is not None)
    results = evaluate(lm, tasks, metadata, limits=limits, gen_kwargs=gen_kwargs, judge_later=True)
    if results is None:
        return judge_saved(None)
    provenance = Provenance(
        model=model,
        pretrained=lm.pretrained,
        parameters=parameters_of(lm),
        weights_sha256=lm.weights_sha256,
        weights_from=lm.weights_from,
        **training,
        stage=stage,
        step=step,
        epoch=epoch,
        fold=fold,
        seed=seed,
        control=control,
        matched_by=matched_by,
        method=method,
        recipe=lm.recipe,
        checkpoint=checkpoint,
        inputs_sha256=inputs_sha256,
        **scoring_conditions(lm, results),
        command=command or " ".join(sys.argv),
        seconds=round(time.monotonic() - started, 3),
    )
    return judge_saved(write_scored(folder, results, provenance))


def _not_judged(folder: Path, inputs_sha256: str) -> Path | None:
    """The results file of exactly these inputs whose texts nobody has judged yet."""
    found = (
        scored.file
        for scored in (find_scored(folder) if inputs_sha256 and folder.is_dir() else [])
        if scored.provenance.inputs_sha256 == inputs_sha256 and not scored.provenance.is_judged
    )
    return next(found, None)


def evaluate(
    lm: Any,
    tasks: Sequence[str] | Selection,
    metadata: Mapping[str, Any],
    limits: Mapping[str, int] | int | None = None,
    items: int | None = None,
    judge_later: bool = False,
    **options: Any,
) -> Results | None:
    """lm-eval's `simple_evaluate` on a loaded model with this project's tasks, pooled scores added.

    Args:
        lm: any of lm-eval's models.
        tasks: task or group names; or what `select` found of them, which knows the metadata then.
        metadata: for the tasks' readers: what tokenizer, which data, ...
        limits: how many of a task's documents to score, the first ones, for every task or by name.
        items: score only so many items of each task, drawn from those that would be scored, always the same ones.
        judge_later: leave generated texts as they are, for `harness.judging.saved_texts.judge_saved`.
        options: further arguments of `simple_evaluate`.

    Returns:
        lm-eval's results, samples included; None on every process but the first.

    Raises:
        ValueError: an unknown task, or fewer documents than processes.
    """
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    from harness.scoring.generation_task import GenerationTask

    selection = tasks if isinstance(tasks, Selection) else select(tasks, metadata)
    loaded = selection.loaded
    if limits:
        # lm-eval has one limit for all tasks, and takes lists of documents a task instead; it refuses too long ones.
        asked = dict.fromkeys(loaded["tasks"], limits) if isinstance(limits, int) else limits
        options["samples"] = {
            name: list(range(min(asked[name], len(task.eval_docs))))
            for name, task in loaded["tasks"].items()
            if name in asked
        }
    if items is not None:
        limit, listed = options.pop("limit", None), options.pop("samples", None) or {}
        options["samples"] = {
            name: drawn_documents(task, items, limit, listed.get(name)) for name, task in loaded["tasks"].items()
        }
    for name, task in loaded["tasks"].items():
        if isinstance(task, GenerationTask):
            task.judge_later = judge_later
        drop_padding(task)
        require_documents(name, task, lm.world_size, options.get("limit"), options.get("samples"))
    children = {child for members in loaded["group_map"].values() for child in members}
    tracker = EvaluationTracker()
    with git_asked_in_repositories_only(), machine_described_once():
        results: Results | None = simple_evaluate(
            lm,
            **{"model_args": {name: metadata[name] for name in ("pretrained", "peft") if name in metadata}, **options},
            tasks=[item for name, item in (loaded["tasks"] | loaded["groups"]).items() if name not in children],
            task_manager=selection.manager,
            evaluation_tracker=tracker,
            log_samples=True,
        )
    if results is None:
        return None
    tracker.general_config_tracker.log_end_time()
    results |= asdict(tracker.general_config_tracker)
    for samples in results["samples"].values():
        # Processes hand in every n-th document each: put them back, so that their number leaves no trace in the files.
        samples.sort(key=lambda sample: (sample["filter"], sample["doc_id"]))
    results["configs"] = without_addresses(results["configs"])
    if not options.get("predict_only"):
        _add_pooled(results)
    return results


def write_scored(
    folder: Path, results: Results, provenance: Provenance | None, *, log_samples: bool = True, name: str = "results"
) -> Path:
    """Write lm-eval's results file and a samples file a task, see `harness.storage.results.write_results`.

    Args:
        provenance: under the key "stereoscope" of the results file; None for models that have no weights of their own.
        name: how the results file begins.

    Returns:
        The results file.

    Raises:
        OSError: the disk is full or the folder not writable.
    """
    from lm_eval.utils import handle_non_serializable, hash_string

    samples = results["samples"] if log_samples else {}
    content = {key: value for key, value in results.items() if key != "samples"}
    content["task_hashes"] = {
        task: hash_string("".join(line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines))
        for task, lines in samples.items()
    }
    if provenance is not None:
        content[PROVENANCE_KEY] = provenance.model_dump(mode="json")
    plain = json.loads(json.dumps(content, default=handle_non_serializable))
    plain["config"] = recordable(plain.get("config") or {})
    for task in plain.get("configs", {}).values():
        task["metadata"] = recordable(task.get("metadata") or {})
    lines = {task: _sample_lines(samples[task], keep_metrics=task not in BENCHMARKS) for task in samples}
    return write_results(folder, plain, lines, name=name)


def _sample_lines(samples: Sequence[Mapping[str, Any]], keep_metrics: bool) -> Iterator[str]:
    """lm-eval's lines. The values under our own metrics only repeat the row and its answers, so they are left out."""
    from lm_eval.utils import handle_non_serializable, sanitize_list

    for sample in samples:
        dropped = () if keep_metrics else sample["metrics"]
        line = {key: value for key, value in sample.items() if key not in dropped}
        line |= {
            "arguments": {
                f"gen_args_{place}": {f"arg_{number}": value for number, value in enumerate(arguments)}
                for place, arguments in enumerate(sample["arguments"])
            },
            "resps": sanitize_list(sample["resps"]),
            "filtered_resps": sanitize_list(sample["filtered_resps"]),
            "target": str(sample["target"]),
            "metrics": [metric for metric in sample["metrics"] if metric not in dropped],
        }
        yield json.dumps(line, default=handle_non_serializable, ensure_ascii=False) + "\n"


def _add_pooled(results: Results) -> None:
    """Put the scores that need several tasks' records (StereoSet as a whole) beside those of the tasks."""
    for benchmark in BENCHMARKS.values():
        if not benchmark.pools or not all(task in results["samples"] for task in benchmark.pools):
            continue
        records = [benchmark.record(line) for task in benchmark.pools for line in results["samples"][task]]
        first = benchmark.pools[0]
        results["results"][benchmark.name] = {
            "name": benchmark.name,
            "alias": f"{benchmark.name} (pooled)",
            "sample_len": len(records),
            **{f"{metric},none": value for metric, value in benchmark.metrics(records).items()},
        }
        for table in ("versions", "n-shot", "higher_is_better"):
            results[table].setdefault(benchmark.name, results[table][first])
