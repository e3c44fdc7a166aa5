"""CrowS-Pairs (Nangia et al. 2020, aclanthology.org/2020.emnlp-main.154): 1,508 minimally edited sentence pairs."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.families import Family
from harness.data.infill import infill_pair, require_sentinels
from harness.data.sources import DataFile, locate_for
from harness.data.split import Split, find_split
from harness.data.tokens import Tokens, columns, load_tokenizer, load_tokens

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
    """The rows that lm-eval scores: every pair of the file, what is asked of the model, and how many tokens that has.

    A causal or masked model is asked for the likelihood of both sentences, an encoder-decoder for what stands in the
    gaps of the text that they share.
    """
    data = locate_for("crows_pairs", metadata)
    return _dataset(read(data.path), data, _tokens(metadata, "crows_pairs"))


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
    return _dataset(pairs, data, _tokens(metadata, "crows_pairs_heldout"))


def _dataset(pairs: Sequence[Pair], data: DataFile, tokens: Tokens) -> dict[str, Dataset]:
    from datasets import Dataset

    rows = []
    for pair in pairs:
        query, answers = _asked(pair, tokens.family)
        rows.append(
            {
                "pair_id": pair.pair_id,
                "row": pair.row,
                "sent_more": pair.sent_more,
                "sent_less": pair.sent_less,
                "direction": pair.direction,
                "bias_type": pair.bias_type,
                "writer": pair.writer,
                "query": query,
                "answers": answers,
                "tokens_more": tokens.count(query, answers[0]),
                "tokens_less": tokens.count(query, answers[1]),
                **columns(tokens),
                **data.columns,
            }
        )
    return {"test": Dataset.from_list(rows)}


def _tokens(metadata: Mapping[str, object], task: str) -> Tokens:
    tokens = load_tokens(metadata, task, ("causal", "masked", "seq2seq"))
    if tokens.family == "seq2seq":
        require_sentinels(load_tokenizer(metadata), task)
    return tokens


def _asked(pair: Pair, family: Family) -> tuple[str, list[str]]:
    """The context, and the continuations of the more and of the less stereotypical sentence."""
    if family != "seq2seq":
        return "", [pair.sent_more, pair.sent_less]
    infill = infill_pair(pair.sent_more, pair.sent_less)
    return infill.template, list(infill.spans)


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
