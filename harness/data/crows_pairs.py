"""CrowS-Pairs (Nangia et al. 2020, aclanthology.org/2020.emnlp-main.154): 1,508 minimally edited sentence pairs."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.sources import DataFile, locate_for
from harness.data.split import Split, find_split
from harness.data.tokens import Tokens

if TYPE_CHECKING:
    from datasets import Dataset

BIAS_TYPES = (
    "race-color",
    "gender",
    "socioeconomic",
    "nationality",
    "religion",
    "age",
    "sexual-orientation",
    "physical-appearance",
    "disability",
)
DIRECTIONS = ("stereo", "antistereo")


@dataclass(frozen=True)
class Pair:
    """One row: `sent_more` is the more stereotypical sentence whatever `direction` says."""

    row: int
    sent_more: str
    sent_less: str
    direction: str
    bias_type: str
    writer: str

    @property
    def pair_id(self) -> str:
        """Digest of the two sentences: names a pair by its content, so that a reordered file changes nothing."""
        return hashlib.sha256(f"{self.sent_more}\n{self.sent_less}".encode()).hexdigest()[:16]


def read(path: Path) -> list[Pair]:
    """Read the CSV. Sentences are kept byte for byte: one of them (row 1293) holds a line break, and is scored with it.

    Raises:
        ValueError: a column or field is missing, or a value is not one the data set knows; names file and row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"sent_more", "sent_less", "stereo_antistereo", "bias_type", "anon_writer"}
        if missing := needed - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: missing columns {sorted(missing)}, found {reader.fieldnames}")
        return [_pair(path, number, row) for number, row in enumerate(reader)]


def dataset(**metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: every pair of the file, with the token counts of both sentences."""
    data = locate_for("crows_pairs", metadata)
    return _dataset(read(data.path), data, Tokens.from_metadata(metadata, "crows_pairs"))


def heldout_dataset(**metadata: object) -> dict[str, Dataset]:
    """`dataset`, of only the pairs that the checkpoint was not trained on.

    Which those are stands in the `split.json` of the checkpoint: the adapter `peft`, else the model `pretrained`.
    `split` names one for a model that has none, such as the base model beside its adapters.

    Raises:
        ValueError: the split is unknown, or two of them disagree, or it was made for another file.
    """
    data = locate_for("crows_pairs", metadata)
    split = _split(metadata)
    if split.data_sha256 != data.sha256:
        raise ValueError(
            f"crows_pairs_heldout: the split was made for a file with sha256 {split.data_sha256}, but {data.path} has "
            f"{data.sha256}, so which of its pairs were trained on is unknown. Point STEREOSCOPE_DATA or data_dir at "
            "the file that the checkpoint was trained on."
        )
    held_out = set(split.held_out)
    pairs = [pair for pair in read(data.path) if pair.pair_id in held_out]
    if not pairs:
        raise ValueError(f"crows_pairs_heldout: the split holds out no pair of {data.path}; there is nothing to score")
    return _dataset(pairs, data, Tokens.from_metadata(metadata, "crows_pairs_heldout"))


def _dataset(pairs: Sequence[Pair], data: DataFile, tokens: Tokens) -> dict[str, Dataset]:
    from datasets import Dataset

    rows = [
        {
            "pair_id": pair.pair_id,
            "row": pair.row,
            "sent_more": pair.sent_more,
            "sent_less": pair.sent_less,
            "direction": pair.direction,
            "bias_type": pair.bias_type,
            "writer": pair.writer,
            "tokens_more": tokens.count("", pair.sent_more),
            "tokens_less": tokens.count("", pair.sent_less),
            **tokens.columns,
            **data.columns,
        }
        for pair in pairs
    ]
    return {"test": Dataset.from_list(rows)}


def _split(metadata: Mapping[str, object]) -> Split:
    checkpoint = Path(str(metadata.get("peft") or metadata.get("pretrained") or ""))
    own = named = None
    # A hub id is no folder; looked up as one, it would find a `split.json` that happens to lie in the working folder.
    if checkpoint.name and checkpoint.is_dir():
        try:
            own = find_split(checkpoint)
        except FileNotFoundError:
            own = None
    if given := metadata.get("split"):
        named = _read_split(Path(str(given)))
    if own and named and own != named:
        raise ValueError(
            f"crows_pairs_heldout: split={given} is not the split that {checkpoint} was trained with, "
            "whose held-out pairs are the only ones it has not seen. Leave `split` out."
        )
    if split := own or named:
        return split
    raise ValueError(
        f"crows_pairs_heldout: no split.json in {metadata.get('peft') or metadata.get('pretrained')} or the two "
        "folders above it, so the pairs it was trained on are unknown and a held-out score would mean nothing. Name a "
        "checkpoint that `python -m training` wrote, give `--metadata split=PATH/split.json` to score the base model "
        "on the same pairs, or score `crows_pairs`."
    )


def _read_split(path: Path) -> Split:
    if path.is_dir():
        return find_split(path)
    if not path.is_file():
        raise ValueError(f"crows_pairs_heldout: split={path}: no such file")
    try:
        return Split.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"crows_pairs_heldout: {path} is no split.json of `python -m training`: {error}") from error


def _pair(path: Path, number: int, row: dict[str, str]) -> Pair:
    def field(name: str, allowed: tuple[str, ...] = ()) -> str:
        value = row[name] or ""
        if not value.strip():
            raise ValueError(f"{path}, row {number}: field {name!r} is missing or empty")
        if allowed and value not in allowed:
            raise ValueError(f"{path}, row {number}: {name} is {value!r}, expected one of {', '.join(allowed)}")
        return value

    return Pair(
        row=number,
        sent_more=field("sent_more"),
        sent_less=field("sent_less"),
        direction=field("stereo_antistereo", DIRECTIONS),
        bias_type=field("bias_type", BIAS_TYPES),
        writer=field("anon_writer"),
    )
