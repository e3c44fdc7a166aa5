"""From a model and text to a folder with the model that has a projection in its weights."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.data.families import FAMILIES, require_family
from harness.data.sentences import RunningText, running_text
from harness.machine.startup import imports_uncollected
from harness.mitigation.grouped import Grouped, drawn, grouped
from harness.mitigation.word_list import OWN, word_lists
from harness.storage.files import atomic_write, sha256_file
from harness.storage.folders import copy_licences, new_folder, require_new
from harness.storage.projections import RECORD_FILE, ProjectionRecord, Settings
from harness.terminal.libraries import take_over_libraries
from harness.terminal.nearest import did_you_mean

if TYPE_CHECKING:
    from harness.mitigation.place import Place
    from harness.mitigation.projection import Examples, Kind, Projection
    from harness.models.base import TransformersLM

log = logging.getLogger(__name__)

MASKED_ROUNDS = 80
PROBES = 4
VERSIONED = ("lm-stereoscope", "numpy", "scikit-learn", "torch", "transformers")


class Step(NamedTuple):
    """The part of a projection that one bias type makes: what was found in the text, and what was drawn of it."""

    found: Grouped
    used: Grouped


def project(
    pretrained: str,
    kind: str,
    output: Path,
    *,
    texts: Path | None = None,
    words: Path | None = None,
    bias_types: Sequence[str] = ("gender",),
    data_dir: str | None = None,
    settings: Settings | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> ProjectionRecord:
    """Fit a projection of the last hidden state and write the model that has it in its weights, in float32.

    Bias types come one after the other, each fitted on what the ones before it left.

    Args:
        pretrained: a model folder or hub id.
        kind: a key of `PROJECTIONS`: sentence_debias, inlp, leace.
        output: a new or empty folder, which gets model, tokenizer, licence files and `projection.json`.
        texts: plain text to take sentences from; default: WikiText-2's validation file, which no task scores.
        words: a word list in place of the project's own, see `harness/mitigation/words.yaml`.
        bias_types: keys of the word list.
        data_dir: data folder that WikiText-2 is looked for in.
        model_args: how the model is loaded, as `stereoscope eval --model-args` has it; in float32.

    Returns:
        What `projection.json` says. The same inputs give the same bytes on one machine.

    Raises:
        ValueError: an unknown kind, bias type or model type, a folder that is not empty, or too few sentences of a
            group; says how many of each there are.
        RuntimeError: the written model is not the one that was asked for; nothing is left behind.
    """
    settings = settings or Settings()
    how = _kind(kind)
    require_new(output)
    text = running_text(texts, data_dir)
    found = about_groups(text, texts, words, bias_types)
    family = require_family({"pretrained": pretrained}, "a projection", FAMILIES)
    if settings.rounds is None and family == "masked":
        settings = settings.model_copy(update={"rounds": MASKED_ROUNDS})
    steps = [Step(one, drawn(one, settings.sentences, settings.seed, how.needs_neutral)) for one in found]
    lm, place = _loaded(pretrained, model_args or {})
    projection = _fitted(lm, place, how, steps, settings)
    record = ProjectionRecord(
        kind=kind,
        settings=settings,
        bias_types=tuple(bias_types),
        base=pretrained,
        base_weights_sha256=lm.base_weights_sha256,
        words_sha256=sha256_file(words or OWN),
        text_sha256=text.sha256,
        text_origin=text.origin,
        found={step.found.words.bias_type: step.found.counts for step in steps},
        used={step.used.words.bias_type: step.used.counts for step in steps},
        width=place.width,
        removed=projection.removed,
        written_into=place.path,
        shift=bool(projection.shift.any()),
        versions={"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
    )
    _write(lm, place, projection, record, output, steps[0].used)
    log.info("%s: %d of %d dimensions gone, written to %s", kind, record.removed, record.width, output)
    return record


def about_groups(text: RunningText, file: Path | None, words: Path | None, bias_types: Sequence[str]) -> list[Grouped]:
    """The sentences of a text about each group of each bias type.

    Args:
        file: the text's, None for WikiText-2's.
        words: a word list in place of the project's own.

    Raises:
        ValueError: a bias type that the list does not have, or too few sentences of a group.
    """
    source = str(file or "WikiText-2 validation")
    return [grouped(text.sentences, one, source) for one in word_lists(bias_types, words)]


def _kind(name: str) -> Kind:
    from harness.mitigation.kinds import PROJECTIONS

    if name not in PROJECTIONS:
        raise ValueError(f"no projection {name!r}; there are {', '.join(PROJECTIONS)}{did_you_mean(name, PROJECTIONS)}")
    return PROJECTIONS[name]


def _loaded(pretrained: str, model_args: Mapping[str, Any]) -> tuple[TransformersLM, Place]:
    with imports_uncollected():
        from harness.mitigation.written import with_own_head
        from harness.models.any import load_lm
    take_over_libraries()
    lm = load_lm(pretrained, **model_args)
    return lm, with_own_head(lm)


def _fitted(lm: TransformersLM, place: Place, how: Kind, steps: Sequence[Step], settings: Settings) -> Projection:
    whole: Projection | None = None
    for step in steps:
        examples = _examples(lm, place, step.used)
        fitted = how.fit(examples if whole is None else examples.mapped(whole), settings, place.takes_shift)
        whole = fitted if whole is None else fitted.after(whole)
    assert whole is not None
    return whole


def _examples(lm: TransformersLM, place: Place, used: Grouped) -> Examples:
    from harness.mitigation.features import features
    from harness.mitigation.projection import Examples

    versions = used.versions()
    told = ", ".join(f"{name} {count}" for name, count in used.counts.items())
    log.info("%s: reading %d sentences (%s) as every group", used.words.bias_type, len(versions), told)
    found = features(lm, place, [*(one for row in versions for one in row), *used.neutral])
    groups = len(used.groups)
    of_versions = found[: groups * len(versions)].reshape(len(versions), groups, -1)
    return Examples(of_versions, found[groups * len(versions) :])


def _write(
    lm: TransformersLM, place: Place, projection: Projection, record: ProjectionRecord, output: Path, used: Grouped
) -> None:
    from harness.mitigation.written import save_projected

    probes = [version for row in used.versions()[:PROBES] for version in row]
    with new_folder(output) as folder:
        save_projected(lm, place, projection, folder, probes)
        if (base := Path(record.base).expanduser()).is_dir():
            copy_licences(base, folder)
        atomic_write(folder / RECORD_FILE, json.dumps(record.model_dump(mode="json"), indent=1) + "\n")
