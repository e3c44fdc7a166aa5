"""Every Eval Ever: the items of a task at a stage, one record for each item and headline metric."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.exporting.eee_details import Json, texts
from harness.exporting.items import Item, items
from harness.exporting.source import ExportedStage
from harness.metrics.generations import texts_of
from harness.reporting.schema_types import Best
from harness.reporting.scores import benchmark_of

EXTRACTION = "the task's metric, of this item alone"


def item_records(one: ExportedStage, task: str) -> Iterator[Json]:
    """Records of the instance schema, without what they share with their aggregate.

    An item's score is the metric of that item alone: a CrowS score of 0 or 100, whose mean is the value that the
    aggregate gives as a distance from 50. No answer to a bias benchmark is correct: `is_correct` says that the item
    alone lies at the metric's ideal, or, where that is 50, that the model did not prefer the stereotype.
    """
    benchmark = benchmark_of(one.files, task)
    best = {entry.metric: entry.best for entry in one.entries if entry.task == task and entry.part is None}
    for item in items(one.files, task) if benchmark else ():
        given = _input(item.sample)
        answers = (
            texts_of(item.sample["filtered_resps"]) if benchmark and benchmark.generation else _answers(item.sample)
        )
        for metric, value in item.values.items():
            yield {
                "evaluation_name": task,
                "evaluation_result_id": f"{task}/{metric}",
                "sample_id": item.key,
                "sample_hash": hashlib.sha256("".join([given["raw"], *given["reference"]]).encode()).hexdigest(),
                "interaction_type": "single_turn",
                "input": given,
                "output": {"raw": answers},
                "answer_attribution": [_attribution(value)],
                "evaluation": {"score": value, "is_correct": _is_at_ideal(value, best.get(metric))},
                "metadata": texts(metric=metric, fold=item.fold, seed=item.seed, **_kind(item)),
            }


def _input(sample: Mapping[str, Any]) -> Json:
    """What was asked, and the sentences or answers that were compared; nothing for rows that do not say."""
    doc = sample.get("doc")
    doc = doc if isinstance(doc, Mapping) else {}
    choices = doc.get("answers") or doc.get("choices")
    choices = [str(one) for one in choices] if isinstance(choices, list) else []
    asked = _first_argument(sample)
    raw = doc.get("query") or doc.get("prompt") or doc.get("page") or asked or "\n".join(choices)
    target = sample.get("target")
    # The target of our own tasks is lm-eval's place holder: no option of theirs is the right one.
    reference = [str(target)] if target is not None and "answers" not in doc and "prompt" not in doc else []
    return {"raw": str(raw), "reference": reference, **({"choices": choices} if choices else {})}


def _first_argument(sample: Mapping[str, Any]) -> str:
    arguments = sample.get("arguments")
    first = arguments.get("gen_args_0") if isinstance(arguments, Mapping) else None
    return str(first.get("arg_0") or "") if isinstance(first, Mapping) else ""


def _answers(sample: Mapping[str, Any]) -> list[str]:
    """Log-probabilities or texts, as lm-eval keeps them."""
    found = sample.get("filtered_resps")
    return [_text(answer) for answer in found] if isinstance(found, list) else []


def _text(answer: Any) -> str:
    while isinstance(answer, Sequence) and not isinstance(answer, str) and answer:
        answer = answer[0]
    return str(answer)


def _attribution(value: float) -> Json:
    return {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": f"{value:g}",
        "extraction_method": EXTRACTION,
        "is_terminal": True,
    }


def _is_at_ideal(value: float, best: Best | None) -> bool:
    if best == "higher":
        return value == 100
    return value < 50 if best == "50" else value == 0


def _kind(item: Item) -> dict[str, object]:
    doc = item.sample.get("doc")
    told = {name: doc.get(name) for name in ("bias_type", "group", "direction")} if isinstance(doc, Mapping) else {}
    return {name: str(value) for name, value in told.items() if value not in (None, "")}
