"""CrowS-Pairs (Nangia et al. 2020, aclanthology.org/2020.emnlp-main.154): 1,508 minimally edited sentence pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.data.exchanged_words import words_seen
from harness.data.families import Family
from harness.data.held_out import held_out_split
from harness.data.infill import infill_pair, require_sentinels
from harness.data.sources import DataFile, locate_for, tell_once
from harness.data.table import Row, read_table
from harness.data.tokens import Tokens, columns, load_tokenizer, load_tokens
from harness.storage.reading import shown

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


class AskedPairs(NamedTuple):
    """The pairs that a task asks about, and their file; `words_seen` as in `harness.data.exchanged_words`.

    `words_seen` is None where all pairs of the file are asked about, whatever was trained.
    """

    pairs: list[Pair]
    data: DataFile
    words_seen: frozenset[str] | None

    def columns(self, pair: Pair) -> dict[str, str | int | bool]:
        """What every scored row carries of its pair."""
        seen = {} if self.words_seen is None else {"words_seen": pair.pair_id in self.words_seen}
        return {
            "pair_id": pair.pair_id,
            "row": pair.row,
            "sent_more": pair.sent_more,
            "sent_less": pair.sent_less,
            "direction": pair.direction,
            "bias_type": pair.bias_type,
            "writer": pair.writer,
            **seen,
        }


def read(path: Path) -> list[Pair]:
    """Read the CSV. Sentences are kept byte for byte: one of them (row 1293) holds a line break, and is scored with it.

    Raises:
        ValueError: not UTF-8, no pairs, a column or field is missing, or a value is not one the data set knows; names
            file and row.
    """
    rows = read_table(path, ("sent_more", "sent_less", "stereo_antistereo", "bias_type", "anon_writer"))
    return [_pair(path, number, row) for number, row in enumerate(rows)]


class OddPairs(NamedTuple):
    """The rows of pairs that stand in a file again, the first time left out, and of pairs of two equal sentences."""

    repeated: tuple[int, ...]
    equal: tuple[int, ...]


def odd_pairs(pairs: Sequence[Pair]) -> OddPairs:
    """Those that say nothing new: sentences are compared without white space at their ends, in either order."""
    seen: set[frozenset[str]] = set()
    repeated, equal = [], []
    for pair in pairs:
        sentences = frozenset((pair.sent_more.strip(), pair.sent_less.strip()))
        if sentences in seen:
            repeated.append(pair.row)
        if len(sentences) == 1:
            equal.append(pair.row)
        seen.add(sentences)
    return OddPairs(tuple(repeated), tuple(equal))


def tell_of_odd(data: DataFile, pairs: Sequence[Pair]) -> None:
    """Say, once a run, which pairs of a file are odd; of the published one it is known (row 1502 repeats row 1459)."""
    odd = OddPairs((), ()) if data.pinned else odd_pairs(pairs)
    for rows, what in (
        (odd.repeated, "repeated pairs; each counts as often as it stands there"),
        (odd.equal, "pairs of two equal sentences; each counts as not stereotypical, so that they are better left out"),
    ):
        if rows:
            listed = f"{', '.join(map(str, rows[:10]))}{', ...' * (len(rows) > 10)}"
            tell_once(f"{data.path}: {len(rows)} of {len(pairs)} are {what} (rows from 0: {listed})")


def dataset(*, held_out: bool = False, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: every pair of the file, what is asked of the model, and how many tokens that has.

    A causal or masked model is asked for the likelihood of both sentences, an encoder-decoder for what stands in the
    gaps of the text that they share.

    Args:
        held_out: only the pairs that the checkpoint was not trained on, see `harness.data.held_out`.
    """
    from datasets import Dataset

    task = task_name("crows_pairs", held_out)
    asked = scored_pairs(task, metadata, held_out)
    tokens = _tokens(metadata, task)
    rows = []
    for pair in asked.pairs:
        query, answers = _asked(pair, tokens.family)
        rows.append(
            {
                **asked.columns(pair),
                "query": query,
                "answers": answers,
                "tokens_more": tokens.count(query, answers[0]),
                "tokens_less": tokens.count(query, answers[1]),
                **columns(tokens),
                **asked.data.columns,
            }
        )
    return {"test": Dataset.from_list(rows)}


def task_name(task: str, held_out: bool) -> str:
    """What a task is called in messages, and in lm-eval."""
    return f"{task}_heldout" if held_out else task


def scored_pairs(task: str, metadata: Mapping[str, object], held_out: bool) -> AskedPairs:
    """The pairs that a task asks about, all of the file or those that the checkpoint never saw.

    Raises:
        ValueError: which pairs are held out is unknown, or none is; names the task.
    """
    data = locate_for("crows_pairs", metadata)
    pairs = read(data.path)
    tell_of_odd(data, pairs)
    if not held_out:
        return AskedPairs(pairs, data, None)
    split = held_out_split(task, metadata, data)
    kept = frozenset(split.held_out)
    chosen = [pair for pair in pairs if pair.pair_id in kept]
    if not chosen:
        raise ValueError(f"{task}: the split holds out no pair of {data.path}; there is nothing to score")
    return AskedPairs(chosen, data, words_seen(pairs, split.train, split.held_out))


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


def _pair(path: Path, number: int, row: Row) -> Pair:
    def field(name: str, allowed: tuple[str, ...] = ()) -> str:
        value = row[name] or ""
        if not value.strip():
            raise ValueError(f"{path}, row {number}: field {name!r} is missing or empty")
        if allowed and value not in allowed:
            raise ValueError(f"{path}, row {number}: {name} is {shown(value)}, expected one of {', '.join(allowed)}")
        return value

    return Pair(
        row=number,
        sent_more=field("sent_more"),
        sent_less=field("sent_less"),
        direction=field("stereo_antistereo", DIRECTIONS),
        bias_type=field("bias_type", BIAS_TYPES),
        writer=field("anon_writer"),
    )
