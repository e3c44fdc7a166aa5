"""`README.md` of a checkpoint: what was trained on what, what a report says of it, and its limits, for the hub."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.data.families import Family
from harness.exporting.card_report import Reported, reported
from harness.exporting.card_text import body
from harness.exporting.card_training import Training, training_of
from harness.exporting.kept_readme import require_replaceable, signed
from harness.reporting.schema import Entry
from harness.reporting.schema_types import Flag
from harness.storage.files import atomic_write
from harness.storage.manifest import relist
from harness.storage.reading import brief
from harness.terminal.printable import one_line

README = "README.md"
DRAFT = Path(".eval_results") / "stereoset.yaml"
DATASETS = {
    "crows_pairs": ("nyu-mll/crows_pairs", "CrowS-Pairs"),
    "stereoset": ("McGill-NLP/stereoset", "StereoSet"),
    "wikitext2": ("Salesforce/wikitext", "WikiText-2"),
}
KINDS: dict[Family, str] = {"causal": "text-generation", "masked": "fill-mask", "seq2seq": "text2text-generation"}
NOT_THE_DATA_SET: frozenset[Flag] = frozenset({"sample_data", "altered_data"})
NO_RESULT: frozenset[Flag] = frozenset({"broken", "contaminated", "limited", "undefined"})
"""What no leaderboard may show as a result on the published data set: other data, and of these not all or no result."""
_KEPT = (
    "base_model",
    "library_name",
    "pipeline_tag",
    "license",
    "license_name",
    "license_link",
    "language",
    "datasets",
)
_HEADER = """\
# A draft. The hub shows these results only if the benchmark's data set is registered: its repository needs an
# eval.yaml that lists these task ids (huggingface.co/docs/hub/eval-results). Check the ids below, or delete this file.
"""

log = logging.getLogger(__name__)


class Written(NamedTuple):
    """The files that were written; no draft without a StereoSet score."""

    readme: Path
    draft: Path | None


def write_card(checkpoint: Path, run: Path | None = None, output: Path | None = None, force: bool = False) -> Written:
    """Write a card, and beside it a draft of results for the hub.

    Args:
        checkpoint: a folder of weights that this project trained or edited, or any model folder.
        run: the run, or folder of results, in which these very weights were scored.
        output: the file to write; by default README.md in the checkpoint's folder.
        force: replace a README.md that a user wrote.

    Raises:
        ValueError: the weights were not scored in `run`, the split is another checkpoint's, or a user's README.md is
            in the way; says what to do.
        FileNotFoundError: the folder is none, or nothing was scored in `run`.
    """
    if not checkpoint.is_dir():
        raise FileNotFoundError(f"{checkpoint}: no such folder; name a checkpoint's folder")
    file = output or checkpoint / README
    require_replaceable(file, force)
    training = training_of(checkpoint)
    found = None if run is None else reported(checkpoint, run)
    draft = _draft(found)
    atomic_write(file, signed(f"---\n{_metadata(checkpoint, training, found)}\n---\n\n{body(training, found)}"))
    if file.resolve() == (checkpoint / README).resolve():
        relist(checkpoint, README)
    if draft is None:
        return Written(file, None)
    atomic_write(file.parent / DRAFT, draft)
    return Written(file, file.parent / DRAFT)


def _metadata(checkpoint: Path, training: Training, found: Reported | None) -> str:
    """The card's metadata: what the one before had, and `model-index` with the scores."""
    from huggingface_hub import ModelCardData

    kept = _metadata_before(checkpoint / README)
    tags = [tag for tag in kept.pop("tags", None) or [] if isinstance(tag, str)]
    results = [] if found is None else _results(found)
    name = one_line(found.exported.stage.model if found else training.name)
    told: dict[str, Any] = {"base_model": training.base, **kept}
    if not _may_be_of_the_hub(told["base_model"]):
        del told["base_model"]
    told["tags"] = list(dict.fromkeys([*tags, "bias", "stereoscope"]))
    if results:
        told |= {"model_name": name, "eval_results": results}
    data = ModelCardData(**told)
    return data.to_yaml()


def _may_be_of_the_hub(base: object) -> bool:
    """Whether a base model's name is a hub id, for all one can tell; a folder of this machine tells others nothing."""
    if isinstance(base, list):
        return bool(base) and all(map(_may_be_of_the_hub, base))
    return isinstance(base, str) and bool(re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", base)) and not Path(base).is_dir()


def _metadata_before(readme: Path) -> dict[str, Any]:
    """What a README.md that stands there says of licence, base and the like; nothing where it cannot be read."""
    from huggingface_hub import ModelCard

    if not readme.is_file():
        return {}
    try:
        told = ModelCard.load(readme, ignore_metadata_errors=True).data.to_dict()
    except Exception as error:  # of any kind: it is whatever lies there, and none of it is needed
        log.warning("%s: its metadata is not kept (%s)", readme, brief(error))
        return {}
    return {name: value for name, value in told.items() if name in (*_KEPT, "tags")}


def _results(found: Reported) -> list[Any]:
    from huggingface_hub import EvalResult

    kind = KINDS[found.exported.stage.family]
    return [
        EvalResult(
            task_type=kind,
            dataset_type=DATASETS[data][0],
            dataset_name=DATASETS[data][1],
            dataset_config=entry.task,
            metric_type=entry.metric,
            metric_name=_metric_name(entry),
            metric_value=value,
        )
        for entry, data, value in found.own
        if not NOT_THE_DATA_SET & set(entry.flags)
    ]


def _metric_name(entry: Entry) -> str:
    ideal = {"50": ", ideal 50", "0": ", ideal 0", "higher": ", higher is better", "lower": ", lower is better"}
    return f"{entry.metric}{ideal.get(entry.best or '', '')}"


def _draft(found: Reported | None) -> str | None:
    """ICAT of each StereoSet task that was scored, in the hub's format of results."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    own = found.own if found else []
    icat = [one for one in own if one[0].metric == "icat" and not (NOT_THE_DATA_SET | NO_RESULT) & set(one[0].flags)]
    if not icat:
        return None
    entries = [
        EvalResultEntry(
            dataset_id=DATASETS["stereoset"][0],
            task_id=entry.task,
            value=value,
            notes=one_line(f"ICAT (higher is better) of n={entry.n} items; flags: {', '.join(entry.flags) or 'none'}"),
        )
        for entry, _, value in icat
    ]
    return _HEADER + yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)
