"""Every Eval Ever: what a stage, a task and a number are, as the texts and bounds that its schemas ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.data.sources import SOURCES
from harness.exporting.source import ExportedStage
from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.intervals import LEVEL
from harness.reporting.entries import DECIMALS
from harness.reporting.schema import Entry
from harness.terminal.printable import one_line

Json = dict[str, Any]

METHOD = "leave-one-cluster-out jackknife, t quantile"
_BOUNDS: Mapping[str, tuple[float | str, float | str]] = {
    "percent": (0, 100),
    "nats": (0, "Infinity"),
    "bits": (0, "Infinity"),
    "perplexity": (0, "Infinity"),
    "points": (0, 100),
}
_LONGEST = 100


class Distance(NamedTuple):
    """A value as a distance from its ideal: what it is, and the interval that follows from the value's own."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, entry: Entry, ideal: float) -> Distance:
        """The distances of all that lies in the entry's interval; the nearest is 0 where that holds the ideal."""
        assert entry.value is not None
        value = _apart(entry.value, ideal)
        if entry.low is None or entry.high is None:
            return cls(value, None, None)
        ends = sorted((_apart(entry.low, ideal), _apart(entry.high, ideal)))
        return cls(value, 0.0 if entry.low <= ideal <= entry.high else ends[0], ends[1])


def _apart(value: float, ideal: float) -> float:
    """A distance with the decimals of a report."""
    return round(abs(value - ideal), DECIMALS)


def texts(**values: object) -> dict[str, str]:
    """Values as the texts that `additional_details` hold, None left out."""
    return {
        name: one_line(value) if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def slug(*parts: object) -> str:
    """A name of letters, digits, `.`, `_` and `-`, for a path and an identifier."""
    told = "-".join(str(part) for part in parts if part not in (None, ""))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", told)[:_LONGEST].strip(".-") or "unnamed"


def ideal_of(entry: Entry) -> int | None:
    """The ideal of a metric that is exported as the distance from it; None for those with a direction."""
    return {"50": 50, "0": 0}.get(entry.best or "")


def metric_config(entry: Entry, label: str, unit: str) -> Json:
    """What the metric is and where it may lie. A score with an ideal has no direction, its distance from that has."""
    ideal = ideal_of(entry)
    low, high = _BOUNDS.get(unit, ("-Infinity", "Infinity"))
    if ideal is not None:
        low, high = 0, (50 if ideal else high)
        label = f"|{label} - {ideal:g}|"
    ours = entry.task in BENCHMARKS
    return {
        "metric_id": f"stereoscope.{entry.metric}{'' if ideal is None else '_distance'}" if ours else entry.metric,
        "metric_name": one_line(label),
        "metric_unit": unit or "none",
        "lower_is_better": entry.best != "higher",
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
        "additional_details": texts(raw_metric=entry.metric, ideal=ideal, setting=entry.setting, part=entry.part),
    }


def score_details(entry: Entry) -> Json:
    """The score with its interval, and all else that the report says of it."""
    assert entry.value is not None
    ideal = ideal_of(entry)
    shown = Distance(entry.value, entry.low, entry.high) if ideal is None else Distance.of(entry, ideal)
    details: Json = {"score": shown.value, "details": _about(entry, ideal)}
    if shown.low is not None and shown.high is not None:
        of = "" if ideal is None else f", distances of what it holds from {ideal:g}"
        interval = {"lower": shown.low, "upper": shown.high, "confidence_level": LEVEL, "method": METHOD + of}
        details["uncertainty"] = {"confidence_interval": interval, "num_samples": entry.n}
    return details


def _about(entry: Entry, ideal: int | None) -> dict[str, str]:
    raw = {} if ideal is None else {"raw_value": entry.value, "raw_low": entry.low, "raw_high": entry.high}
    return texts(
        **raw,
        ideal=ideal,
        n=entry.n,
        of=entry.of,
        clusters=entry.clusters,
        interval_covers=entry.covers,
        no_interval=entry.no_interval,
        base_value=entry.base_value,
        difference=entry.difference,
        difference_low=entry.difference_low,
        difference_high=entry.difference_high,
        p_value=entry.p_value,
        distance_change=entry.distance_change,
        flags=", ".join(entry.flags) or None,
    )


def source_data(one: ExportedStage, task: str) -> Json:
    """Where the task's data comes from; what a plugin or lm-eval brings has no address here."""
    benchmark = BENCHMARKS.get(task)
    source = SOURCES.get(benchmark.data) if benchmark and benchmark.data else None
    of_task = {*([benchmark.whole] if benchmark and benchmark.whole else []), *(benchmark.pools if benchmark else ())}
    told = [
        data for scoring in one.stage.scorings for name, data in scoring.data.items() if name == task or name in of_task
    ]
    details = texts(sha256=", ".join(sorted({data.sha256 for data in told})), origin=told[0].origin if told else None)
    if source is None:
        return {"dataset_name": task, "source_type": "other", "additional_details": details}
    named = {**details, **texts(publication=source.publication, licence=source.licence)}
    return {
        "dataset_name": str(benchmark.data) if benchmark else task,
        "source_type": "url",
        "url": [source.url],
        "additional_details": named,
    }


def stage_details(one: ExportedStage, task: str) -> dict[str, str]:
    """Which weights these are: stage, step, method, folds, start token, digests, and the pairs they were trained on."""
    stage, files = one.stage, one.files
    digests = [scoring.weights_sha256 or "not known" for scoring in stage.scorings]
    bases = {scoring.base_weights_sha256 for scoring in stage.scorings if scoring.base_weights_sha256}
    return texts(
        deployment_type="externally_managed" if files.provenance.server else "self_deployed",
        model_availability="unknown",
        stage=stage.stage,
        step=stage.step,
        method=stage.method,
        control=stage.control,
        epoch=stage.epoch,
        folds=", ".join(map(str, stage.folds)) or None,
        seeds=", ".join(map(str, stage.seeds)) or None,
        started_after=stage.started_after,
        prompt=stage.prompt,
        parameters=stage.parameters,
        architecture=stage.architecture,
        dtype=files.provenance.dtype,
        weights_sha256=", ".join(dict.fromkeys(digests)),
        base_weights_sha256=", ".join(sorted(bases)) or None,
        checkpoints=", ".join(dict.fromkeys(one.checkpoint for one in stage.scorings if one.checkpoint)) or None,
        **_trained_on(one, task),
    )


def _trained_on(one: ExportedStage, task: str) -> dict[str, str]:
    """How many pairs the weights were trained on, and whether those that this task scores are among them."""
    if one.stage.stage != "step":
        return {"trained_on_pairs": "0", "scored_pairs_were_trained_on": "false"}
    told = [scored.provenance.trained_on for checkpoint in one.files.checkpoints for scored in checkpoint.scored]
    benchmark = BENCHMARKS.get(task)
    if None in told or benchmark is None:
        pairs = "not recorded" if None in told else _counts(told)
        return {"trained_on_pairs": pairs, "scored_pairs_were_trained_on": "not recorded" if benchmark else "false"}
    seen = benchmark.whole is None and any(item and item.get(benchmark.data) for item in told)
    return {"trained_on_pairs": _counts(told), "scored_pairs_were_trained_on": "true" if seen else "false"}


def _counts(told: list[dict[str, int] | None]) -> str:
    return ", ".join(sorted({str(sum((item or {}).values())) for item in told}))
