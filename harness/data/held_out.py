"""Which CrowS-Pairs a checkpoint has never seen: the only ones that say anything about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.data.sources import DataFile
from harness.data.split import SPLIT_FILE, Split, find_split, nearest_split_file, read_split
from harness.storage.weights import files_sha256, weights_sha256


def held_out_split(task: str, metadata: Mapping[str, object], data: DataFile) -> Split:
    """The split of the checkpoint that is scored: the pairs it was trained on, and those it was not.

    It stands in the `split.json` of the checkpoint: the adapter `peft`, else the model `pretrained`. `split` names one
    for a model that has none, such as the base model beside its adapters.

    Raises:
        ValueError: the split is unknown, or another checkpoint's, or it was made for another file; names the task.
    """
    split = _split(task, metadata)
    if split.data_sha256 != data.sha256:
        raise ValueError(
            f"{task}: the split was made for a file with sha256 {split.data_sha256}, but {data.path} has "
            f"{data.sha256}, so which of its pairs were trained on is unknown. Point STEREOSCOPE_DATA or data_dir at "
            "the file that the checkpoint was trained on."
        )
    return split


def _split(task: str, metadata: Mapping[str, object]) -> Split:
    checkpoint = Path(str(metadata.get("peft") or metadata.get("pretrained") or ""))
    try:
        # A hub id is no folder; looked up as one, it would find a `split.json` that lies in the working folder.
        own = find_split(checkpoint) if checkpoint.name and checkpoint.is_dir() else None
    except ValueError as error:
        raise ValueError(f"{task}: {error}") from error
    given = metadata.get("split")
    named = _read_named(task, Path(str(given))) if given else None
    if own and named and not own.same_pairs(named):
        raise ValueError(
            f"{task}: split={given} is not the split that {checkpoint} was trained with, "
            "whose held-out pairs are the only ones it has not seen. Leave `split` out."
        )
    if named and not own:
        _require_for(task, named, metadata)
    if split := own or named:
        return split
    raise ValueError(
        f"{task}: no split.json in {metadata.get('peft') or metadata.get('pretrained')} or the two "
        "folders above it, so the pairs it was trained on are unknown and a held-out score would mean nothing. Name a "
        "checkpoint that `python -m training` wrote, give `--metadata split=PATH/split.json` to score the base model "
        f"on the same pairs, or score `{task.removesuffix('_heldout')}`."
    )


def _require_for(task: str, named: Split, metadata: Mapping[str, object]) -> None:
    """A split that names weights is theirs and their base model's, nobody else's."""
    if named.weights_sha256 is None:
        return
    adapter, model = metadata.get("peft"), metadata.get("pretrained")
    if adapter:
        found = weights_sha256(Path(str(adapter)))
    else:
        source = {name: str(metadata[name]) for name in ("revision", "subfolder", "gguf_file") if metadata.get(name)}
        found = files_sha256(str(model), **source)
    if found != named.weights_sha256 and (adapter or found != named.base_weights_sha256):
        raise ValueError(
            f"{task}: split={metadata['split']} is of weights with sha256 {named.weights_sha256}, trained from "
            f"{named.base} ({named.base_weights_sha256}), but those of {adapter or model} have {found}. Name that "
            f"checkpoint's own split, or score `{task.removesuffix('_heldout')}`."
        )


def _read_named(task: str, path: Path) -> Split:
    file = nearest_split_file(path) if path.is_dir() else path
    if file is None or not file.is_file():
        raise ValueError(f"{task}: split={path}: no such file" if file else f"{task}: no {SPLIT_FILE} in split={path}")
    try:
        return read_split(file)
    except ValueError as error:
        raise ValueError(f"{task}: {error}") from error
