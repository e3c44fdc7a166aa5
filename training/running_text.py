"""Running text that holds a model to its base: pieces of one length, some of which every step draws."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from harness.data.sentences import TextFile, find_text, paragraphs
from training.pair_arguments import PairArguments
from training.pairs import Row

RowOfText = Callable[[Sequence[int], str], Row]
"""A family's way to read a piece of text, 2 tokens or more; the key decides what is hidden in it."""


def text_file(arguments: PairArguments) -> TextFile:
    """The text that a run reads.

    Raises:
        FileNotFoundError, ValueError: there is none, or it is the one that `wikitext2` scores.
    """
    return find_text(None if arguments.text is None else Path(arguments.text), arguments.data_dir)


def paragraphs_of(text: TextFile) -> list[str]:
    """Its paragraphs in their order, each once."""
    return list(dict.fromkeys(paragraphs(text)))


def pieces_of(text: TextFile, tokenizer: PreTrainedTokenizerBase, tokens: int) -> list[list[int]]:
    """The whole text in consecutive pieces of so many tokens; what is left at its end is left out."""
    lines = [f"{line}\n" for line in paragraphs(text)]
    encoded = tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"] if lines else []
    ids = [token for line in encoded for token in line]
    return [ids[start : start + tokens] for start in range(0, len(ids) - tokens + 1, tokens)]


@dataclass(frozen=True)
class DrawnText:
    """Pieces of text, `per_step` of which all processes of a step read together.

    Which ones, and what is hidden in them, follows from `seed`, the step and the piece alone: not from the number of
    processes, from batches that are added up, or from where a run was resumed.
    """

    pieces: Sequence[Sequence[int]]
    row_of: RowOfText
    per_step: int
    seed: int

    def rows(self, step: int, process: int, processes: int) -> list[Row]:
        """What one of the processes reads at a step (from 0): every `processes`-th piece of it, perhaps none."""
        numbers = random.Random(f"{self.seed} {step}").sample(range(len(self.pieces)), self.per_step)
        return [
            self.row_of(self.pieces[number], f"{self.seed} {step} {number}") for number in numbers[process::processes]
        ]
