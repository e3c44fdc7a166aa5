"""Counterfactual data augmentation (Zmigrod et al. 2019; two-sided, as in Meade et al. 2022): text about groups, twice.

A paragraph with a listed word is kept, and its counterfactual stands behind it; one without any is left out. Words are
those of `harness.mitigation.words`: of two groups all are exchanged at once, of three each group's words become those
of one other group, which is drawn for every paragraph. With several bias types a paragraph has a counterfactual for
each of which it has words.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.mitigation.word_list import OWN, WordList, word_lists
from harness.mitigation.words import counterfactuals
from training.pair_arguments import PairArguments
from training.running_text import paragraphs_of, text_file

EXAMPLES = 3


def both_sides(paragraphs: Iterable[str], lists: Sequence[WordList], seed: int) -> Iterator[str]:
    """Each paragraph with a listed word, and behind it what it says about the other groups."""
    for number, paragraph in enumerate(paragraphs):
        swapped = (
            counterfactuals(paragraph, words.bias_type, random.Random(f"{seed} {words.bias_type} {number}"), words)
            for words in lists
        )
        if found := [text for text in swapped if text is not None]:
            yield from (paragraph, *found)


def words_of(arguments: PairArguments) -> list[WordList]:
    """The word list of each bias type.

    Raises:
        ValueError: there is no such list; names file, line and what to do.
    """
    return word_lists(arguments.bias_types, None if arguments.words is None else Path(arguments.words))


def texts_of(arguments: PairArguments, seed: int) -> list[str]:
    """The paragraphs that `cda` or `dropout` trains on; `dropout` takes all, as they are.

    Raises:
        FileNotFoundError: there is no such text.
        ValueError: it is the one that `wikitext2` scores, is empty, or none of it has a listed word; says which are.
    """
    file = text_file(arguments)
    paragraphs = paragraphs_of(file)
    if not paragraphs:
        raise ValueError(f"{file.path}: no text in it; expected sentences or paragraphs a line")
    if arguments.objective != "cda":
        return paragraphs
    lists = words_of(arguments)
    if found := list(both_sides(paragraphs, lists, seed)):
        return found
    looked_for = "; ".join(f"{words.bias_type} ({', '.join(_examples(words))}, ...)" for words in lists)
    raise ValueError(
        f"{file.path}: none of its {len(paragraphs)} paragraphs has a word of {arguments.words or OWN} for "
        f"{looked_for}. Take another text, or other bias_types or words"
    )


def _examples(words: WordList) -> list[str]:
    return [form.spelled for form in list(words.forms.values())[:EXAMPLES]]
