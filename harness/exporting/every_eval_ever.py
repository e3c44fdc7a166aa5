"""Every Eval Ever 0.3.0 (github.com/evaleval/every_eval_ever): one record a stage and task, and its items.

An aggregate file names its items' file by path and digest. Files lie as in that project's datastore:
`data/TASK/DEVELOPER/MODEL/UUID.json` and `UUID_samples.jsonl`, the UUID a digest of what was scored, so that an export
takes the place of an earlier one of the same scores.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.exporting.eee_details import Json, metric_config, score_details, slug, source_data, stage_details, texts
from harness.exporting.eee_items import item_records
from harness.exporting.items import inert_json
from harness.exporting.source import Exported, ExportedStage, read_run
from harness.reporting.formatting import stage_name
from harness.reporting.index import Index
from harness.storage.files import atomic_write, sha256_file
from harness.terminal.printable import one_line

SCHEMA_VERSION = "0.3.0"


class By(NamedTuple):
    """Who scored and who made the base model, which no result file says."""

    organization: str = "not named"
    developer: str = "unknown"


class Names(NamedTuple):
    """What ties an aggregate file to its items: the evaluation's and the model's identifiers."""

    evaluation_id: str
    model_id: str


def export(run: Path, folder: Path, by: By = By(), now: int | None = None) -> list[Path]:  # noqa: B008 - a constant
    """Write every stage and task of a run below `folder`.

    Args:
        now: seconds since 1970 at which the records are made; by default those of the clock.

    Returns:
        The aggregate files.

    Raises:
        FileNotFoundError, ValueError: as `read_run`.
    """
    exported = read_run(run)
    made = int(time.time()) if now is None else now
    return [_write(exported, one, task, folder, by, made) for one in exported.stages for task in one.tasks()]


def _write(exported: Exported, one: ExportedStage, task: str, folder: Path, by: By, now: int) -> Path:
    stage = one.stage
    maker = slug(by.developer if stage.stage == "base" else by.organization)
    made = f"{stage.control}-control" if stage.control else f"step-{stage.step}" if stage.step else "edited"
    name = slug(stage.model, *((stage.method, made) if stage.stage != "base" else ()))
    names = Names(f"{slug(task)}/{maker}/{name}/{now}", f"{maker}/{name}")
    place, called = folder / "data" / slug(task) / maker / name, _uuid(one, task)
    record = _record(exported, one, task, by, names, now)
    if task in one.files.tasks:
        record["detailed_evaluation_results"] = _write_items(
            one, task, place / f"{called}_samples.jsonl", folder, names
        )
    atomic_write(place / f"{called}.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    return place / f"{called}.json"


def _write_items(one: ExportedStage, task: str, file: Path, folder: Path, names: Names) -> Json:
    """The items' file, and what the aggregate says of it."""
    rows = 0

    def lines() -> Iterator[str]:
        nonlocal rows
        for record in item_records(one, task):
            rows += 1
            told = {"schema_version": SCHEMA_VERSION, **names._asdict(), **record}
            yield f"{inert_json(told)}\n"

    atomic_write(file, lines())
    return {
        "format": "jsonl",
        "file_path": file.relative_to(folder).as_posix(),
        "hash_algorithm": "sha256",
        "checksum": sha256_file(file),
        "total_rows": rows,
    }


def _record(exported: Exported, one: ExportedStage, task: str, by: By, names: Names, now: int) -> Json:
    stage, provenance = one.stage, one.files.provenance
    legend = exported.report.legend.metrics
    entries = [entry for entry in one.entries if entry.task == task and entry.best and entry.value is not None]
    label = f"{Index.of(exported.report).name(stage)}, {stage_name(stage)}"
    versions = provenance.versions
    scored = next((item for checkpoint in one.files.checkpoints if (item := checkpoint.scored_on(task))), None)
    date = scored.results.get("date") if scored else None
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": names.evaluation_id,
        **({"evaluation_timestamp": str(int(date))} if isinstance(date, (int, float)) else {}),
        "retrieved_timestamp": str(now),
        "source_metadata": {
            "source_name": "Stereoscope",
            "source_type": "evaluation_run",
            "source_organization_name": by.organization,
            # Whoever scores a step made it too; a base is mostly others'.
            "evaluator_relationship": "third_party" if stage.stage == "base" else "first_party",
        },
        "eval_library": {
            "name": "lm_eval",
            "version": versions.get("lm-eval") or versions.get("lm_eval") or "unknown",
            "additional_details": texts(**{name.replace("-", "_"): told for name, told in sorted(versions.items())}),
        },
        "model_info": {
            "name": one_line(label),
            "id": names.model_id,
            "developer": by.developer if stage.stage == "base" else by.organization,
            "additional_details": stage_details(one, task),
        },
        "evaluation_results": [
            {
                "evaluation_result_id": "/".join(filter(None, (task, entry.metric, entry.part))),
                "evaluation_name": "/".join(filter(None, (task, entry.part))),
                "source_data": source_data(one, task),
                "metric_config": metric_config(entry, legend[entry.metric].label, legend[entry.metric].unit),
                "score_details": score_details(entry),
            }
            for entry in entries
        ],
    }


def _uuid(one: ExportedStage, task: str) -> uuid.UUID:
    stage = one.stage
    seals = [str(scored.seal(task)) for checkpoint in one.files.checkpoints for scored in checkpoint.scored]
    weights = [scoring.weights_sha256 for scoring in stage.scorings]
    decides = (stage.model, stage.stage, stage.step, stage.method, stage.control, stage.started_after, stage.prompt)
    digest = hashlib.sha256(json.dumps([task, *decides, weights, seals]).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)
