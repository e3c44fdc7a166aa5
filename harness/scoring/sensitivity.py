"""What a score owes to choices that say nothing of the model: its precision, the start token, how a question is worded.

`--compare-start-token` scores everything again after another token, `--check-sensitivity` a sample under each choice.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from harness.data.prompt import OTHER_WORDING, WORDING
from harness.metrics.benchmarks import BENCHMARKS
from harness.storage.sensitivity import Sensitivity

log = logging.getLogger(__name__)

Results = dict[str, Any]
ITEMS = 200
PROMPTED = ("crows_pairs_prompt", "stereoset_prompt", "bbq")


class Rescore(Protocol):
    """Scores tasks with a model, as the command line asks but for what is given here; None but on the first process."""

    def __call__(
        self, lm: Any, tasks: Sequence[str], metadata: Mapping[str, Any], items: int | None
    ) -> Results | None: ...


class Variant(NamedTuple):
    """One thing chosen otherwise, with the results of the tasks that it can move; None but on the first process."""

    name: str
    results: Results | None


def checkable(tasks: Sequence[str]) -> list[str]:
    """The tasks whose sensitivity is checked: pairs and options. Texts and running text are passed over.

    Raises:
        ValueError: none of the tasks is such a one.
    """
    found = [
        task
        for task in tasks
        if task in BENCHMARKS and BENCHMARKS[task].data != "wikitext2" and not BENCHMARKS[task].generation
    ]
    if not found:
        raise ValueError(
            "--check-sensitivity: none of the tasks compares sentences or options; it takes crows_pairs*, stereoset* "
            "and bbq*"
        )
    return found


def check(
    lm: Any,
    scored: Results | None,
    tasks: Sequence[str],
    metadata: Mapping[str, Any],
    items: int,
    rescore: Rescore,
    in_fp32: Callable[[], Any],
) -> list[Sensitivity]:
    """Score a sample of items under every other choice. `lm` may be unusable afterwards: its memory is given back.

    Args:
        scored: lm-eval's results of the tasks as they were scored; None on every process but the first.
        tasks: see `checkable`.
        metadata: what the tasks were told.
        items: how many of each task, drawn by `harness.data.draw`.
        in_fp32: loads the same model in float32.

    Returns:
        A line a task and metric, those of pooled tasks too; nothing on other processes.
    """
    variants = list(_variants(lm, tasks, metadata, items, rescore, in_fp32))
    if scored is None:
        return []
    return [line for task in _tasks_in(variants) for line in _lines(task, scored, variants)]


def sensitivity_table(lines: Sequence[Sensitivity], as_scored: str) -> str:
    """A row a task and metric: the sample's score under each choice, and the largest distance between two of them."""
    names = list(dict.fromkeys(name for line in lines for name in line.otherwise))
    rows = [["task", "metric", "items", as_scored, *names, "spread"]]
    for line in lines:
        others = [line.otherwise.get(name) for name in names]
        told = ["-" if value is None else f"{value:.4f}" for value in others]
        every = [line.as_scored, *line.otherwise.values()]
        spread = f"{max(every) - min(every):.4f}"
        rows.append([line.task, line.metric, str(line.items), f"{line.as_scored:.4f}", *told, spread])
    return _table(rows)


def start_tokens_table(first: Results, second: Results, tokens: Sequence[str]) -> str:
    """The metrics of whole tasks under both start tokens; the spread is what a score owes to the choice."""
    rows = [["task", "metric", *(f"after {token}" for token in tokens), "spread"]]
    for task, values in first["results"].items():
        for key, value in values.items():
            metric, _, filter_name = key.partition(",")
            other = second["results"][task].get(key)
            if filter_name and "/" not in metric and isinstance(value, float) and isinstance(other, float):
                rows.append([task, metric, f"{value:.4f}", f"{other:.4f}", f"{abs(value - other):.4f}"])
    return _table(rows)


def named(lm: Any, token: int) -> str:
    """A start token as it is called in tables."""
    return f"{lm.tokenizer.convert_ids_to_tokens(token)} ({token})"


def token_id(lm: Any, token: str) -> int:
    """The id of a start token to compare with, given as itself or as its id.

    Raises:
        ValueError: no causal model, no such token, or the one that sentences start after anyway.
    """
    if not _has_start_token(lm):
        raise ValueError(
            "--compare-start-token needs a causal model: of others no sentence starts after a chosen token"
        )
    tokenizer = lm.tokenizer
    found = int(token) if token.isdigit() else tokenizer.get_vocab().get(token)
    if found is None or found >= len(tokenizer):
        raise ValueError(f"--compare-start-token {token}: no such token; special: {tokenizer.all_special_tokens}")
    if found == lm.prefix_token_id:
        raise ValueError(f"--compare-start-token {token}: sentences start after this token already; name another")
    return int(found)


def _has_start_token(lm: Any) -> bool:
    from lm_eval.models.huggingface import HFLM

    return isinstance(lm, HFLM) and lm.backend == "causal" and getattr(lm, "family", "causal") == "causal"


def _variants(
    lm: Any,
    tasks: Sequence[str],
    metadata: Mapping[str, Any],
    items: int,
    rescore: Rescore,
    in_fp32: Callable[[], Any],
) -> Iterator[Variant]:
    prompted = [task for task in tasks if task.startswith(PROMPTED)]
    if sentences := [task for task in tasks if task not in prompted and _has_start_token(lm)]:
        asked = lm.custom_prefix_token_id
        for token in dict.fromkeys((lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id)):
            if token not in (None, lm.prefix_token_id if asked is None else asked):
                lm.custom_prefix_token_id = token
                yield Variant(
                    f"after {named(lm, token)}", rescore(lm, sentences, {**metadata, "prefix_token_id": token}, items)
                )
                lm.custom_prefix_token_id = asked
    if prompted:
        name, other = _other_wording(metadata)
        yield Variant(name, rescore(lm, prompted, other, items))
    if (dtype := str(lm.model.dtype).removeprefix("torch.")) != "float32":
        log.info("scoring a sample in float32 beside %s", dtype)
        _forget(lm)
        yield Variant("float32", rescore(in_fp32(), tasks, metadata, items))


def _other_wording(metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Questions asked in other words than they were: the project's second wording, or its first where they were not."""
    own = metadata.get("prompt_template") is not None or str(metadata.get(WORDING)) == OTHER_WORDING
    told = {name: value for name, value in metadata.items() if name not in ("prompt_template", WORDING)}
    return ("first wording", told) if own else ("second wording", {**told, WORDING: OTHER_WORDING})


def _forget(lm: Any) -> None:
    """Give the weights back: the next model needs the memory."""
    import torch

    lm._model = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _tasks_in(variants: Sequence[Variant]) -> list[str]:
    """Tasks that were scored otherwise, those pooled from them behind."""
    scored = dict.fromkeys(task for variant in variants if variant.results for task in variant.results["samples"])
    pooled = [name for name, one in BENCHMARKS.items() if one.pools and all(task in scored for task in one.pools)]
    return [*scored, *pooled]


def _lines(task: str, scored: Results, variants: Sequence[Variant]) -> Iterator[Sensitivity]:
    benchmark = BENCHMARKS[task]
    parts = benchmark.pools or (task,)
    found = [
        (variant.name, variant.results["samples"])
        for variant in variants
        if variant.results and all(part in variant.results["samples"] for part in parts)
    ]
    documents = {part: {line["doc_id"] for line in found[0][1][part]} for part in parts}
    as_scored = _scores(task, scored["samples"], documents)
    otherwise = {name: _scores(task, samples, documents) for name, samples in found}
    for metric, value in as_scored.items():
        others = {name: other for name, values in otherwise.items() if (other := values.get(metric)) is not None}
        if value is not None and others and "/" not in metric and metric != "n":
            yield Sensitivity(
                task=task, metric=metric, items=int(as_scored["n"] or 0), as_scored=value, otherwise=others
            )


def _scores(
    task: str, samples: Mapping[str, Sequence[Mapping[str, Any]]], documents: Mapping[str, set[int]]
) -> dict[str, float | None]:
    benchmark = BENCHMARKS[task]
    return benchmark.metrics(
        [benchmark.record(line) for part, kept in documents.items() for line in samples[part] if line["doc_id"] in kept]
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
