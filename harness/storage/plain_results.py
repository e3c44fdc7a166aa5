"""Results files of plain `lm_eval`: what they and their samples say of the model, in place of our own provenance.

They name the model, its size, precision and prompts. They do not say which weights it had, what these were trained on,
or what their samples have to be, so that all of this stays "not known".
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.storage.files import sha256_file
from harness.storage.names import require_plain_name
from harness.storage.provenance import NOT_KNOWN, Provenance
from harness.storage.reading import json_lines, parse_record, require_object
from harness.storage.result_parts import AGAIN

COMMAND = "lm_eval (its arguments are not in its results)"
_FAMILIES = {"hf-masked": "masked", "hf-seq2seq": "seq2seq"}
_SAYS_NO_FAMILY = "hf-any"
_LOCAL = ("/", "./", "../", "~")
log = logging.getLogger(__name__)


def samples_file(results_file: Path, task: str) -> Path:
    """Where a task's lines are, if they were kept. A results file may have any name that ends in its date."""
    date = results_file.stem.rpartition("_")[2]
    return results_file.with_name(f"samples_{task}_{date}.jsonl")


def plain_provenance(file: Path, results: Mapping[str, Any]) -> Provenance | None:
    """What a results file of plain `lm_eval` says of its model and of the tasks whose samples lie beside it.

    None, with a warning that says why, where no such task is left or the kind of model cannot be told.

    Raises:
        ValueError: a part of the file or of a samples file is not what lm-eval writes; names it.
    """
    config = require_object(results.get("config") or {}, f"{file}, config", AGAIN)
    model = config.get("model")
    if not isinstance(model, str) or not results.get("configs"):
        return None
    if model == _SAYS_NO_FAMILY:
        log.warning("%s does not count: --model %s does not say what kind of model it found; %s", file, model, AGAIN)
        return None
    tasks = _tasks(file, results)
    if not tasks:
        return None
    arguments = _arguments(config.get("model_args"))
    pretrained = arguments.get("pretrained") or str(results.get("model_name") or model)
    peft = arguments.get("peft")
    numbered = re.search(r"checkpoint-([0-9]{1,12})/?$", peft or "")
    log.warning(
        "%s was written by lm_eval itself: its weights, what they were trained on and whether its samples are whole "
        "are not known",
        file,
    )
    told = {
        "model": Path(pretrained).name if pretrained.startswith(_LOCAL) else pretrained,
        "pretrained": pretrained,
        "parameters": config.get("model_num_parameters"),
        "family": _FAMILIES.get(model, "causal"),
        "weights_sha256": None,
        "stage": "step" if peft else "base",
        "step": int(numbered.group(1)) if numbered else None,
        "checkpoint": peft,
        **_started_after(file, tasks),
        "dtype": str(config.get("model_dtype") or NOT_KNOWN).removeprefix("torch."),
        "tasks": tasks,
        "versions": _versions(results),
        "command": COMMAND,
        "seconds": _seconds(results.get("total_evaluation_time_seconds")),
    }
    return parse_record(told, Provenance, f"{file}, as lm_eval wrote it", AGAIN)


def _tasks(file: Path, results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found, without = {}, []
    for task, config in results["configs"].items():
        require_plain_name(task, f"{file}, configs")
        samples = samples_file(file, task)
        if not samples.is_file():
            without.append(task)
        elif "measures" in (config.get("metadata") or {}):
            log.warning("%s: %s does not count: who judged its texts is not in there; %s", file, task, AGAIN)
        else:
            found[task] = _data(samples, (results.get("n-samples") or {}).get(task) or {})
    if without:
        log.warning("%s: no samples of %s beside it; score again with --log_samples", file, ", ".join(without))
    return found


def _data(samples: Path, counted: Mapping[str, Any]) -> dict[str, Any]:
    """Digest, origin and rows of a task's data: of the data file as our readers note it, else of the samples."""
    doc = _first_doc(samples)
    with samples.open("rb") as lines:
        n = sum(1 for _ in lines)
    original, effective = counted.get("original"), counted.get("effective")
    ours = "data_sha256" in doc
    return {
        "sha256": doc["data_sha256"] if ours else sha256_file(samples),
        "origin": doc.get("data_origin") if ours else "task",
        "n": n,
        # A document has a line for each filter.
        "of": original * n // effective if original and effective else None,
    }


def _started_after(file: Path, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """The token that our readers note in each row; tasks of lm-eval's own do not say."""
    docs = (_first_doc(samples_file(file, task)) for task in tasks)
    doc = next((doc for doc in docs if "start_token" in doc), {})
    return {
        "started_after": doc.get("start_token", NOT_KNOWN),
        "started_after_id": doc.get("start_token_id", -1),
    }


def _first_doc(samples: Path) -> Mapping[str, Any]:
    _, line = next(json_lines(samples, AGAIN), (0, {}))
    doc = line.get("doc")
    return doc if isinstance(doc, dict) else {}


def _arguments(given: object) -> dict[str, str]:
    """Model arguments, which lm-eval keeps as a mapping or as they were typed."""
    if isinstance(given, Mapping):
        return {str(name): str(value) for name, value in given.items() if value is not None}
    pairs = (part.partition("=") for part in str(given or "").split(",") if "=" in part)
    return {name.strip(): value for name, _, value in pairs}


def _versions(results: Mapping[str, Any]) -> dict[str, str]:
    told = {"lm-eval": results.get("lm_eval_version"), "transformers": results.get("transformers_version")}
    return {name: str(version) for name, version in told.items() if version}


def _seconds(told: object) -> float:
    try:
        seconds = float(str(told))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0
