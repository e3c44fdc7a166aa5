"""Which CrowS-Pairs a checkpoint has never seen: the only ones that say anything about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.data.sources import DataFile
from harness.data.split import Split, find_split


def held_out_ids(task: str, metadata: Mapping[str, object], data: DataFile) -> frozenset[str]:
    """`Pair.pair_id`s that the checkpoint was not trained on.

    Which those are stands in the `split.json` of the checkpoint: the adapter `peft`, else the model `pretrained`.
    `split` names one for a model that has none, such as the base model beside its adapters.

    Raises:
        ValueError: the split is unknown, or two of them disagree, or it was made for another file; names the task.
    """
    split = _split(task, metadata)
    if split.data_sha256 != data.sha256:
        raise ValueError(
            f"{task}: the split was made for a file with sha256 {split.data_sha256}, but {data.path} has "
            f"{data.sha256}, so which of its pairs were trained on is unknown. Point STEREOSCOPE_DATA or data_dir at "
            "the file that the checkpoint was trained on."
        )
    return frozenset(split.held_out)


def _split(task: str, metadata: Mapping[str, object]) -> Split:
    checkpoint = Path(str(metadata.get("peft") or metadata.get("pretrained") or ""))
    own = named = None
    # A hub id is no folder; looked up as one, it would find a `split.json` that happens to lie in the working folder.
    if checkpoint.name and checkpoint.is_dir():
        try:
            own = find_split(checkpoint)
        except FileNotFoundError:
            own = None
    if given := metadata.get("split"):
        named = _read_split(task, Path(str(given)))
    if own and named and own != named:
        raise ValueError(
            f"{task}: split={given} is not the split that {checkpoint} was trained with, "
            "whose held-out pairs are the only ones it has not seen. Leave `split` out."
        )
    if split := own or named:
        return split
    raise ValueError(
        f"{task}: no split.json in {metadata.get('peft') or metadata.get('pretrained')} or the two "
        "folders above it, so the pairs it was trained on are unknown and a held-out score would mean nothing. Name a "
        "checkpoint that `python -m training` wrote, give `--metadata split=PATH/split.json` to score the base model "
        f"on the same pairs, or score `{task.removesuffix('_heldout')}`."
    )


def _read_split(task: str, path: Path) -> Split:
    if path.is_dir():
        return find_split(path)
    if not path.is_file():
        raise ValueError(f"{task}: split={path}: no such file")
    try:
        return Split.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{task}: {path} is no split.json of `python -m training`: {error}") from error
